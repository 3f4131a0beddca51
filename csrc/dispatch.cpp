#include "dispatch.hpp"

#include <cstdlib>
#include <stdexcept>

namespace tilewright {

extern const KernelTable table_generic;
#if defined(TW_X86_V3)
extern const KernelTable table_v3;
#endif
#if defined(TW_X86_V4)
extern const KernelTable table_v4;
#endif

std::vector<const KernelTable*> runnable_tables() {
    std::vector<const KernelTable*> tables{&table_generic};
#if defined(TW_X86_V3)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2")) tables.push_back(&table_v3);
#endif
#if defined(TW_X86_V4)
    if (tables.size() == 2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        tables.push_back(&table_v4);
#endif
    return tables;
}

static const KernelTable& choose() {
    const auto tables = runnable_tables();
    const char* wanted = std::getenv("TILEWRIGHT_ISA");
    if (wanted == nullptr || *wanted == '\0') return *tables.back();
    std::string names;
    for (const KernelTable* table : tables) {
        if (std::string(wanted) == table->name) return *table;
        names += std::string(names.empty() ? "" : ", ") + table->name;
    }
    throw std::runtime_error(std::string("TILEWRIGHT_ISA = ") + wanted + " cannot run here; this processor runs: " + names);
}

const KernelTable& active_table() {
    static const KernelTable& table = choose();
    return table;
}

}  // namespace tilewright
