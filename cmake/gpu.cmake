# Kernels for graphics processors: a module of their own, beside the processor's and with no need of torch.
set(TILEWRIGHT_CUDA AUTO CACHE STRING "AUTO builds the CUDA kernels where a CUDA compiler works, ON insists, OFF leaves them out")
set(TILEWRIGHT_CUDA_ARCHITECTURES "" CACHE STRING
  "as CMAKE_CUDA_ARCHITECTURES, or 'all' for every one from Turing on; empty: this machine's, else code that the driver compiles")
set_property(CACHE TILEWRIGHT_CUDA PROPERTY STRINGS AUTO ON OFF)

set(gpu_bindings csrc/gpu/bindings.cpp csrc/gpu/bindings_transfers.cpp)
# Bodies of kernels take one crosspoint at a time, with the arithmetic of the processor's eight.
set(gpu_definitions TW_ONE_LANE TW_ISA=one_lane)

# The same kernels run by the host, for the tests: made where these are, with the editable installation.
set(TILEWRIGHT_CUDA_ON_HOST AUTO CACHE STRING "ON builds the kernels that the host runs for the tests, AUTO with an editable installation")
if(TILEWRIGHT_CUDA_ON_HOST STREQUAL "ON" OR (SKBUILD_STATE STREQUAL "editable" AND NOT TILEWRIGHT_SANITIZE))
  set(on_host_optimise -O2)
  if(TILEWRIGHT_SANITIZE)
    set(on_host_optimise ${optimise})
  endif()
  pybind11_add_module(_cuda_on_host NO_EXTRAS ${gpu_bindings} csrc/gpu/kernels_on_host.cpp)
  target_compile_definitions(_cuda_on_host PRIVATE ${gpu_definitions} TW_MODULE=_cuda_on_host
    TW_TOOLKIT="none" TW_ARCHITECTURES="the host")
  target_compile_options(_cuda_on_host PRIVATE ${kernel_flags} -Wno-unknown-pragmas ${on_host_optimise})
  if(TILEWRIGHT_SANITIZE MATCHES "thread")
    target_compile_definitions(_cuda_on_host PRIVATE TW_WATCH_RACES)
  endif()
  install(TARGETS _cuda_on_host LIBRARY DESTINATION tilewright COMPONENT cuda_on_host)
endif()

if(NOT TILEWRIGHT_CUDA OR TILEWRIGHT_SANITIZE)
  return()
endif()
include(CheckLanguage)
check_language(CUDA)
if(NOT CMAKE_CUDA_COMPILER)
  if(TILEWRIGHT_CUDA STREQUAL "AUTO")
    message(STATUS "No CUDA compiler works here: kernels for graphics processors are left out (TILEWRIGHT_CUDA=ON insists on them)")
    return()
  endif()
  message(FATAL_ERROR "TILEWRIGHT_CUDA is ${TILEWRIGHT_CUDA}, but no CUDA compiler works here: put nvcc on the path or set CUDACXX, "
    "or leave the CUDA kernels out with TILEWRIGHT_CUDA=OFF")
endif()

set(CMAKE_CUDA_ARCHITECTURES 75-virtual)  # for the checks of the compiler
enable_language(CUDA)
if(CMAKE_CUDA_COMPILER_VERSION VERSION_LESS 11.0)
  set(too_old "CUDA ${CMAKE_CUDA_COMPILER_VERSION} is too old for these kernels, which need 11.0")
  if(TILEWRIGHT_CUDA STREQUAL "AUTO")
    message(STATUS "${too_old}: kernels for graphics processors are left out")
    return()
  endif()
  message(FATAL_ERROR "${too_old}")
endif()

# Compute capabilities that this compiler knows, of those the kernels are written for.
execute_process(COMMAND "${CMAKE_CUDA_COMPILER}" --list-gpu-arch OUTPUT_VARIABLE listed ERROR_QUIET)
string(REGEX MATCHALL "compute_[0-9]+" listed "${listed}")
set(known "")
foreach(capability IN LISTS listed)
  string(REPLACE "compute_" "" capability "${capability}")
  if(capability GREATER_EQUAL 75)
    list(APPEND known "${capability}")
  endif()
endforeach()
list(SORT known COMPARE NATURAL)

# Those of this machine, where there are any and the compiler knows them.
set(native "${CMAKE_CUDA_ARCHITECTURES_NATIVE}")
foreach(capability IN LISTS CMAKE_CUDA_ARCHITECTURES_NATIVE)
  string(REPLACE "-real" "" number "${capability}")
  if(NOT number IN_LIST known)
    list(REMOVE_ITEM native "${capability}")
  endif()
endforeach()

set(gpu_architectures "${TILEWRIGHT_CUDA_ARCHITECTURES}")
if(gpu_architectures STREQUAL "all" AND known)
  list(TRANSFORM known APPEND "-real" OUTPUT_VARIABLE gpu_architectures)
  list(GET known -1 newest)
  list(APPEND gpu_architectures "${newest}-virtual")
elseif(gpu_architectures STREQUAL "native" AND native)
  set(gpu_architectures "${native}")
elseif(gpu_architectures STREQUAL "")
  # One compilation: for the graphics processor of this machine, or in the form that drivers compile from Turing on.
  set(gpu_architectures "75-virtual")
  if(native)
    set(gpu_architectures "${native}")
  endif()
endif()
set(CMAKE_CUDA_STANDARD 17)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)

pybind11_add_module(_cuda NO_EXTRAS ${gpu_bindings} csrc/gpu/kernels.cu)
set_target_properties(_cuda PROPERTIES CUDA_ARCHITECTURES "${gpu_architectures}")
string(REPLACE ";" " " gpu_architectures "${gpu_architectures}")
target_compile_definitions(_cuda PRIVATE ${gpu_definitions} TW_MODULE=_cuda
  "TW_TOOLKIT=\"CUDA ${CMAKE_CUDA_COMPILER_VERSION}\"" "TW_ARCHITECTURES=\"${gpu_architectures}\"")
# What makes the bits those of the processor: no fused multiply-add, IEEE division and square root, no flushing to zero.
target_compile_options(_cuda PRIVATE
  "$<$<COMPILE_LANGUAGE:CUDA>:-O3;-fmad=false;-prec-div=true;-prec-sqrt=true;-ftz=false>"
  "$<$<COMPILE_LANGUAGE:CXX>:-ffp-contract=off;-Wall;-Wextra>")
set_target_properties(_cuda PROPERTIES CUDA_RUNTIME_LIBRARY Static CUDA_VISIBILITY_PRESET hidden)
install(TARGETS _cuda LIBRARY DESTINATION tilewright)
