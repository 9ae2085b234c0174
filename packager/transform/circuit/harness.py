"""The C++ between a Verilated circuit and its callers: a plain C interface that ctypes can load anywhere."""

from packager.transform.circuit.tracing import Rtl

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

template <typename Port> void put(Port &port, const int64_t *row) {{
    unsigned char bytes[sizeof(Port)] = {{0}};
    for (int at = 0; at < IN_COUNT * IN_BITS; ++at)
        if ((static_cast<uint64_t>(row[at / IN_BITS]) >> (at % IN_BITS)) & 1) bytes[at / 8] |= 1 << (at % 8);
    std::memcpy(&port, bytes, sizeof(Port));
}}

template <typename Port> void get(const Port &port, int64_t *row) {{
    unsigned char bytes[sizeof(Port)];
    std::memcpy(bytes, &port, sizeof(Port));
    for (int number = 0; number < OUT_COUNT; ++number) {{
        uint64_t value = 0;
        for (int bit = 0; bit < OUT_BITS; ++bit) {{
            const int at = number * OUT_BITS + bit;
            if ((bytes[at / 8] >> (at % 8)) & 1) value |= uint64_t(1) << bit;
        }}
        if (OUT_SIGNED && (value >> (OUT_BITS - 1)) & 1) value |= ~((uint64_t(2) << (OUT_BITS - 1)) - 1);
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
    void tick() {{ top.clk = 0; top.eval(); top.clk = 1; top.eval(); }}
    void reset() {{
        top.s_axis_tvalid = 0; top.m_axis_tready = 0; top.rst = 1;
        tick(); tick();
        top.rst = 0;
    }}
}};
}}  // namespace

extern "C" {{
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
    simulation.reset();
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
    return received == count ? cycle : -1;
}}
}}
"""


def harness(rtl: Rtl) -> str:
    """Source of the library that simulates this circuit."""
    return _TEMPLATE.format(
        in_count=rtl.input.count,
        in_bits=rtl.input.bits,
        out_count=rtl.output.count,
        out_bits=rtl.output.bits,
        out_signed="true" if rtl.output.signed else "false",
    )
