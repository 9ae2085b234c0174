"""The module around the pipeline: AXI-Stream on both sides, a row in each cycle while the answers are taken."""

from packager.transform.circuit.tracing import Rtl

_TEMPLATE = """\
`timescale 1 ns / 1 ps
// One row a beat on s_axis, one answer a beat on m_axis, in order. The pipeline cannot be held, so a row is taken only
// while there is room for its answer: rows in flight and answers that wait never outnumber the places of the store.
module {name}_stream (
    input clk,
    input rst,
    input [{in_high}:0] s_axis_tdata,
    input s_axis_tvalid,
    output s_axis_tready,
    output [{out_high}:0] m_axis_tdata,
    output m_axis_tvalid,
    input m_axis_tready
);
    localparam LATENCY = {latency};
    localparam PLACES = {places};
    localparam BITS = {place_bits};

    wire [{out_high}:0] answer;
    reg [LATENCY-1:0] flight;
    reg [{out_high}:0] store [0:PLACES-1];
    reg [BITS-1:0] head;
    reg [BITS-1:0] tail;
    reg [BITS:0] waiting;
    reg [BITS:0] taken;

    wire accept = s_axis_tvalid & s_axis_tready;
    wire arrive = flight[LATENCY-1];
    wire leave = m_axis_tvalid & m_axis_tready;

    assign s_axis_tready = (taken < PLACES[BITS:0]) & ~rst;
    assign m_axis_tvalid = (waiting != 0);
    assign m_axis_tdata = store[head];

    {name}_wrapper pipeline (
        .clk(clk),
        .model_inp(s_axis_tdata),
        .model_out(answer)
    );

    always @(posedge clk) begin
        if (rst) begin
            flight <= 0;
            head <= 0;
            tail <= 0;
            waiting <= 0;
            taken <= 0;
        end else begin
            flight <= {{flight[LATENCY-2:0], accept}};
            taken <= taken + {{{{BITS{{1'b0}}}}, accept}} - {{{{BITS{{1'b0}}}}, leave}};
            waiting <= waiting + {{{{BITS{{1'b0}}}}, arrive}} - {{{{BITS{{1'b0}}}}, leave}};
            if (arrive) begin
                store[tail] <= answer;
                tail <= tail + 1'b1;
            end
            if (leave) head <= head + 1'b1;
        end
    end
endmodule
"""


def stream_module(rtl: Rtl) -> str:
    """Verilog of ``NAME_stream``."""
    # A place is free again a cycle after its answer left, and taken again LATENCY cycles before the next is there.
    place_bits = (rtl.latency + 2).bit_length()
    return _TEMPLATE.format(
        name=rtl.name,
        in_high=rtl.input.width - 1,
        out_high=rtl.output.width - 1,
        latency=rtl.latency,
        places=1 << place_bits,
        place_bits=place_bits,
    )
