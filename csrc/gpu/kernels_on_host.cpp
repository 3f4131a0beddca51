// The same kernels, whose threads run on the host one after the other: what the tests compare with the processor's own.
#include "kernels.hpp"

namespace tilewright::TW_ISA {

std::vector<DeviceSeen> devices_seen() { return {}; }
int toolkit_version() { return 0; }
int driver_version() { return 0; }
std::string why_no_device() { return "these kernels run on the host"; }
void use_device(int) {}
void run_backwards(bool on) { backwards = on; }

}  // namespace tilewright::TW_ISA
