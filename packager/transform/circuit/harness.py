"""The C++ between a Verilated circuit and its callers: a plain C interface that ctypes can load anywhere."""

from typing import Final

from packager.transform.circuit.tracing import Rtl

# Counted up when the functions below take or mean something else; ``runtime.engine.circuit_library`` knows this one.
INTERFACE: Final = 1
# Nothing else is to be seen from outside: two circuits in one process have classes of the same names.
EXPORTS: Final = "{ global: circuit_*; local: *; };\n"
_TEMPLATE = """\
// Drives the stream interface of a Verilated circuit with rows of integers and collects its answers.
#include <cstdint>
#include <cstring>
#include <vector>
#include "Vtop.h"
#include "verilated.h"

namespace {{
constexpr int IN_COUNT = {in_count}, IN_BITS = {in_bits}, OUT_COUNT = {out_count}, OUT_BITS = {out_bits};
constexpr bool OUT_SIGNED = {out_signed};

// Wide ports are arrays of 32-bit words, narrow ones integers: little-endian bytes, either way.
inline uint64_t from_bytes(const unsigned char *bytes) {{ uint64_t word; std::memcpy(&word, bytes, 8); return word; }}
inline void to_bytes(unsigned char *bytes, uint64_t word) {{ std::memcpy(bytes, &word, 8); }}

constexpr uint64_t mask(int bits) {{ return bits >= 64 ? ~uint64_t(0) : (uint64_t(1) << bits) - 1; }}

// An integer of up to 64 bits may begin at any bit, so that it lies in up to nine bytes.
template <typename Port> void put(Port &port, const int64_t *row) {{
    unsigned char bytes[sizeof(Port) + 16] = {{0}};
    for (int number = 0; number < IN_COUNT; ++number) {{
        const int at = number * IN_BITS, shift = at % 8;
        const uint64_t value = static_cast<uint64_t>(row[number]) & mask(IN_BITS);
        to_bytes(bytes + at / 8, from_bytes(bytes + at / 8) | value << shift);
        if (shift + IN_BITS > 64) bytes[at / 8 + 8] |= static_cast<unsigned char>(value >> (64 - shift));
    }}
    std::memcpy(&port, bytes, sizeof(Port));
}}

template <typename Port> void get(const Port &port, int64_t *row) {{
    unsigned char bytes[sizeof(Port) + 16] = {{0}};
    std::memcpy(bytes, &port, sizeof(Port));
    for (int number = 0; number < OUT_COUNT; ++number) {{
        const int at = number * OUT_BITS, shift = at % 8;
        uint64_t value = from_bytes(bytes + at / 8) >> shift;
        if (shift + OUT_BITS > 64) value |= static_cast<uint64_t>(bytes[at / 8 + 8]) << (64 - shift);
        value &= mask(OUT_BITS);
        if (OUT_SIGNED && (value >> (OUT_BITS - 1)) & 1) value |= ~mask(OUT_BITS);
        row[number] = static_cast<int64_t>(value);
    }}
}}

// Whether a side pauses in this cycle: from the seed alone, so that a run can be repeated.
bool pauses(uint64_t &state) {{
    if (!state) return false;
    state ^= state << 13; state ^= state >> 7; state ^= state << 17;
    return (state >> 33) % 3 == 0;
}}

struct Simulation {{
    VerilatedContext context;
    Vtop top{{&context}};
    // Whether the pipeline is empty: it is when every row of a run was answered.
    bool empty = false;
    void tick() {{ top.clk = 0; top.eval(); top.clk = 1; top.eval(); }}
    void reset() {{
        top.s_axis_tvalid = 0; top.m_axis_tready = 0; top.rst = 1;
        tick(); tick();
        top.rst = 0;
    }}
}};
}}  // namespace

extern "C" {{
// Verilator keeps an object for each thread. Its end, if it were awaited, would keep the library in memory as long as
// the thread lives, and those of a server live as long as the server.
int __cxa_thread_atexit(void (*)(void *), void *, void *) noexcept {{ return 0; }}

// What a caller has to agree to before it calls anything else: this interface, and how many integers a row has.
int64_t circuit_interface() {{ return {interface}; }}
void circuit_ports(int64_t *four) {{ four[0] = IN_COUNT; four[1] = IN_BITS; four[2] = OUT_COUNT; four[3] = OUT_BITS; }}

// Handles share nothing: each may be used by another thread, one call at a time.
void *circuit_new() {{ return new Simulation(); }}
void circuit_free(void *handle) {{ delete static_cast<Simulation *>(handle); }}

// Cycles that all rows took, or -1 where answers did not come. ``first`` is the cycle of the first answer.
int64_t circuit_run(
    void *handle, const int64_t *rows, int64_t *answers, int64_t count, uint64_t seed, int64_t *first) {{
    auto &simulation = *static_cast<Simulation *>(handle);
    auto &top = simulation.top;
    uint64_t state = seed;
    int64_t sent = 0, received = 0, cycle = 0;
    bool offered = false;
    *first = -1;
    if (!simulation.empty) simulation.reset();
    simulation.empty = false;
    const int64_t most = 16 * count + 4096;
    while (received < count && cycle < most) {{
        // An offered row stays offered until it is taken, as the protocol asks.
        if (!offered && sent < count && !pauses(state)) {{
            put(top.s_axis_tdata, rows + sent * IN_COUNT);
            offered = true;
        }}
        top.s_axis_tvalid = offered;
        top.m_axis_tready = !pauses(state);
        top.clk = 0; top.eval();
        const bool taken = top.s_axis_tvalid && top.s_axis_tready;
        if (top.m_axis_tvalid && top.m_axis_tready) {{
            if (*first < 0) *first = cycle;
            get(top.m_axis_tdata, answers + received++ * OUT_COUNT);
        }}
        top.clk = 1; top.eval();
        if (taken) {{ ++sent; offered = false; }}
        ++cycle;
    }}
    simulation.empty = received == count;
    return simulation.empty ? cycle : -1;
}}
}}
"""


def harness(rtl: Rtl) -> str:
    """Source of the library that simulates this circuit."""
    return _TEMPLATE.format(
        interface=INTERFACE,
        in_count=rtl.input.count,
        in_bits=rtl.input.bits,
        out_count=rtl.output.count,
        out_bits=rtl.output.bits,
        out_signed="true" if rtl.output.signed else "false",
    )
