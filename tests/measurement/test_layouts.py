"""Files as laboratories save them: every layout must be read right without any option."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO

import numpy as np
import openpyxl
import pytest
import scipy.io

from tilewright.measurement import inspect_file, tutorial_pulses

RAMPS = np.array([1] * 60 + [-1] * 60, dtype=np.int8)
TWICE = np.tile(RAMPS, 2)


def states(pulses, seed=0, up=0.05, down=0.045, low=10.0, high=50.0, start=11.0, noise=0.1):
    """Conductances before each pulse, and the one after the last, of a soft-bounds device with read noise."""
    state, found = start, [start]
    for pulse in pulses:
        state += up * (high - state) if pulse > 0 else -down * (state - low)
        found.append(state)
    return np.array(found) + noise * np.random.default_rng(seed).standard_normal(len(found))


G = states(RAMPS)[:-1]
G_TWICE = states(TWICE)[:-1]
UP, DOWN = G[:60], G[60:]
OTHER = 2 * states(RAMPS, seed=5)[:-1]
OTHER_UP, OTHER_DOWN = OTHER[:60], OTHER[60:]


@dataclass
class Case:
    """A file and what must be read from it: (pulses, response, device) of each record."""

    data: bytes
    records: list[tuple[np.ndarray, np.ndarray, str]]
    unit: str = "µS"
    rtol: float = 1e-4
    missing: list[int] = field(default_factory=list)


CASES: dict[str, Callable[[], Case]] = {}


def case(function):
    CASES[function.__name__] = function
    return function


def lines(*rows, end="\n", encoding="utf-8"):
    return (end.join(rows) + end).encode(encoding)


def sheet_bytes(**sheets):
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name.replace("_", " "))
        for row in rows:
            sheet.append([cell.item() if isinstance(cell, np.generic) else cell for cell in row])
    buffer = BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def saved(writer, *args, **kwargs):
    buffer = BytesIO()
    writer(buffer, *args, **kwargs)
    return buffer.getvalue()


def branches(up=UP, down=DOWN, device=""):
    return [(np.ones(len(up)), up, device), (-np.ones(len(down)), down, device)]


# --- text -------------------------------------------------------------------------------------------------------------


@case
def keithley_export():
    head = ["Keithley Instruments,2636B", "Date,2024/01/02", "Time,12:30:11", "Compliance,0.001", "Points,120", ""]
    rows = [
        f"{k},{0.1 * k:.2f},{1.5 if p > 0 else -1.7},{0.1e-6 * g:.6e}"
        for k, (p, g) in enumerate(zip(RAMPS, G, strict=True))
    ]
    return Case(lines(*head, "Index,Time (s),Vpulse (V),Current (A)", *rows), [(RAMPS, 0.1e-6 * G, "")], unit="A")


@case
def german_excel():
    rows = [
        f"{k + 1};{'hoch' if p > 0 else 'runter'};{g:.4f}".replace(".", ",")
        for k, (p, g) in enumerate(zip(RAMPS, G, strict=True))
    ]
    return Case(lines("Puls;Richtung;Leitwert (µS)", *rows, end="\r\n", encoding="cp1252"), [(RAMPS, G, "")])


@case
def german_thousands():
    def german(value):
        return f"{value:,.2f}".replace(",", "_").replace(".", ",").replace("_", ".")

    rows = [f"{k + 1};{german(1000 * g)}" for k, g in enumerate(G)]
    return Case(lines("Puls;G / nS", *rows), [(RAMPS, 1000 * G, "")], unit="nS")


@case
def quoted_thousands():
    rows = [f'{k},"{1000 * g:,.2f}","ok, fine"' for k, g in enumerate(G)]
    return Case(lines("pulse,G (nS),remark", *rows), [(RAMPS, 1000 * G, "")], unit="nS")


@case
def separator_hint_of_excel():
    return Case(lines("sep=;", "n;G_uS", *(f"{k};{g:.4f}" for k, g in enumerate(G))), [(RAMPS, G, "")])


@case
def unicode_text_of_excel():
    rows = [f"{k}\t{g:.4f}" for k, g in enumerate(G)]
    return Case(lines("Pulse\tG (µS)", *rows, end="\r\n", encoding="utf-16"), [(RAMPS, G, "")])


@case
def wide_text_without_mark():
    rows = [f"{k}\t{g:.4f}" for k, g in enumerate(G)]
    return Case(lines("Pulse\tG (uS)", *rows, encoding="utf-16-le"), [(RAMPS, G, "")])


@case
def old_mac_line_ends():
    return Case(lines("Pulse,G (uS)", *(f"{k},{g:.4f}" for k, g in enumerate(G)), end="\r"), [(RAMPS, G, "")])


@case
def second_header_row_of_units():
    rows = [f"{k},{g:.4f},{0.3}" for k, g in enumerate(G)]
    return Case(lines("Pulse,Conductance,Vread", "#,uS,V", *rows), [(RAMPS, G, "")])


@case
def units_in_square_brackets():
    rows = [f"{a:.4f};{b:.4f}" for a, b in zip(UP, DOWN, strict=True)]
    return Case(lines("LTP [µS];LTD [µS]", *rows), branches())


@case
def three_header_rows():
    head = ["Device A,,Device B,", "LTP,LTD,LTP,LTD", "(uS),(uS),(uS),(uS)"]
    rows = [f"{a:.4f},{b:.4f},{c:.4f},{d:.4f}" for a, b, c, d in zip(UP, DOWN, OTHER_UP, OTHER_DOWN, strict=True)]
    return Case(lines(*head, *rows), branches(device="Device A") + branches(OTHER_UP, OTHER_DOWN, "Device B"))


@case
def branches_side_by_side():
    rows = [f"{k + 1},{a:.4f},{k + 1},{b:.4f}" for k, (a, b) in enumerate(zip(UP, DOWN, strict=True))]
    return Case(lines("pulse,LTP (uS),pulse,LTD (uS)", *rows), branches())


@case
def branches_of_unequal_length():
    rows = [f"{a:.4f},{DOWN[k]:.4f}" if k < 45 else f"{a:.4f}," for k, a in enumerate(UP)]
    return Case(lines("Potentiation (uS),Depression (uS)", *rows), branches(down=DOWN[:45]))


@case
def devices_with_branches_in_their_names():
    rows = [f"{a:.4f},{b:.4f},{c:.4f},{d:.4f}" for a, b, c, d in zip(UP, DOWN, OTHER_UP, OTHER_DOWN, strict=True)]
    data = lines("D1_LTP (uS),D1_LTD (uS),D2_LTP (uS),D2_LTD (uS)", *rows)
    return Case(data, branches(device="D1") + branches(OTHER_UP, OTHER_DOWN, "D2"))


@case
def numbered_branches_are_cycles():
    rows = [f"{a:.4f},{b:.4f},{a + 1:.4f},{b + 1:.4f}" for a, b in zip(UP, DOWN, strict=True)]
    return Case(lines("LTP1,LTD1,LTP2,LTD2", *rows), branches() + branches(UP + 1, DOWN + 1), unit="")


@case
def one_cycle_per_column():
    columns = [states(RAMPS, seed=j)[:-1] for j in range(5)]
    rows = [",".join(f"{x:.4f}" for x in row) for row in zip(*columns, strict=True)]
    data = lines(",".join(f"Cycle {j + 1} (uS)" for j in range(5)), *rows)
    return Case(data, [(RAMPS, column, "") for column in columns])


@case
def devices_in_different_prefixes():
    rows = [f"{g:.5f},{1000 * g:.3f}" for g in G]
    return Case(lines("Dev1 G (uS),Dev2 G (nS)", *rows), [(RAMPS, G, "Dev1 G"), (RAMPS, G, "Dev2 G")])


@case
def device_matrix_on_its_side():
    traces = [states(RAMPS, seed=j)[:-1] for j in range(8)]
    head = "device," + ",".join(str(k) for k in range(120))
    rows = [f"D{j}," + ",".join(f"{x:.4f}" for x in trace) for j, trace in enumerate(traces)]
    return Case(lines("# conductance (uS)", head, *rows), [(RAMPS, t, f"D{j}") for j, t in enumerate(traces)])


@case
def large_device_matrix_on_its_side():
    traces = [states(RAMPS, seed=j, high=40 + j % 17)[:-1] for j in range(40)]
    rows = ["\t".join(f"{x:.4f}" for x in trace) for trace in traces]
    return Case(lines(*rows), [(RAMPS, t, f"column {j + 1}") for j, t in enumerate(traces)], unit="")


@case
def all_on_one_line():
    return Case(lines(",".join(f"{g:.4f}" for g in G)), [(RAMPS, G, "")], unit="")


@case
def long_form_with_devices_and_cycles():
    rows = ["device;cycle;pulse;polarity;G (uS)"]
    traces = {name: states(TWICE, seed=j)[:-1] for j, name in enumerate(["A1", "B7"])}
    for name, trace in traces.items():
        rows += [
            f"{name};{k // 120 + 1};{k % 120};{p};{g:.4f}" for k, (p, g) in enumerate(zip(TWICE, trace, strict=True))
        ]
    return Case(lines(*rows), [(TWICE, trace, name) for name, trace in traces.items()])


@case
def long_form_without_polarity():
    rows = ["chip,pulse,current (nA)"]
    traces = {str(j): states(RAMPS, seed=j)[:-1] for j in (11, 12, 13)}
    for name, trace in traces.items():
        rows += [f"{name},{k},{g:.4f}" for k, g in enumerate(trace)]
    return Case(lines(*rows), [(RAMPS, trace, name) for name, trace in traces.items()], unit="nA")


@case
def long_form_with_two_branches():
    rows = ["device,pulse,LTP (uS),LTD (uS)"]
    for name, factor in (("x", 1), ("y", 2)):
        rows += [f"{name},{k},{factor * a:.4f},{factor * b:.4f}" for k, (a, b) in enumerate(zip(UP, DOWN, strict=True))]
    expected = [
        (np.ones(60), UP, "x"),
        (np.ones(60), 2 * UP, "y"),
        (-np.ones(60), DOWN, "x"),
        (-np.ones(60), 2 * DOWN, "y"),
    ]
    return Case(lines(*rows), expected)


@case
def cycles_stacked_under_titles():
    rows = []
    for cycle in range(2):
        rows += [f"Cycle {cycle + 1}", "pulse,G (uS)"]
        rows += [f"{k},{g:.4f}" for k, g in enumerate(G_TWICE[120 * cycle : 120 * cycle + 120])]
    return Case(lines(*rows), [(TWICE, G_TWICE, "")])


@case
def devices_stacked_under_titles():
    rows = []
    for name, response in (("P3", G), ("Q8", OTHER)):
        rows += [f"Device: {name}", "pulse;G (uS)"]
        rows += [f"{k};{g:.4f}" for k, g in enumerate(response)]
    return Case(lines(*rows), [(RAMPS, G, "Device: P3"), (RAMPS, OTHER, "Device: Q8")])


@case
def branches_between_blank_lines():
    up = [f"{k} {g:.4f}" for k, g in enumerate(UP)]
    down = [f"{k} {g:.4f}" for k, g in enumerate(DOWN)]
    return Case(lines("# pulse G(uS)", *up, "", "", *down), [(RAMPS, G, "")])


@case
def time_stamps():
    rows = [f"2024-03-01 10:{k // 60:02d}:{k % 60:02d}.125,{g:.4f}" for k, g in enumerate(G)]
    return Case(lines("Timestamp,G (uS)", *rows), [(RAMPS, G, "")])


@case
def german_time_stamps_without_header():
    cells = [f"{g:.4f}".replace(".", ",") for g in G]
    return Case(
        lines(*(f"01.03.2024 10:{k // 60:02d}:{k % 60:02d};{cell}" for k, cell in enumerate(cells))),
        [(RAMPS, G, "")],
        unit="",
    )


@case
def remarks_at_the_end():
    rows = [f"{k},{g:.4f}" for k, g in enumerate(G)]
    return Case(lines("pulse,G (uS)", *rows, "", "Measured at 300 K", "mean,30.5", "# end of file"), [(RAMPS, G, "")])


@case
def log_of_pulses_and_reads():
    rows = ["time (s),V (V),I (A)"]
    for k, (p, g) in enumerate(zip(RAMPS, G, strict=True)):
        rows += [f"{2 * k},0.1,{0.1e-6 * g:.6e}", f"{2 * k + 1},{2 if p > 0 else -2},{1e-4 * p:.6e}"]
    return Case(lines(*rows), [(RAMPS, 0.1e-6 * G, "")], unit="A")


@case
def log_with_words():
    rows = ["op\tG (uS)"]
    for p, g in zip(RAMPS, G, strict=True):
        rows += [f"READ\t{g:.4f}", f"{'SET' if p > 0 else 'RESET'}\t"]
    return Case(lines(*rows), [(RAMPS, G, "")])


@case
def rows_read_after_their_pulse():
    after = states(TWICE, noise=0.02)
    rows = [f"{'SET' if p > 0 else 'RESET'},{g:.4f}" for p, g in zip(TWICE, after[1:], strict=True)]
    return Case(lines("pulse,G (uS)", *rows), [(np.append(TWICE[1:], -1), after[1:], "")])


@case
def resistances_with_directions():
    rows = [f"{'SET' if p > 0 else 'RESET'},{1e3 / g:.6f}" for p, g in zip(RAMPS, G, strict=True)]
    return Case(lines("pulse,Resistance (kOhm)", *rows), [(RAMPS, G / 1e3, "")], unit="mS")


@case
def resistances_alone():
    return Case(lines("R (MΩ)", *(f"{1 / g:.8f}" for g in G)), [(RAMPS, G, "")], rtol=1e-3)


@case
def a_unit_in_every_cell():
    rows = [f"{k},{g:.5f} µS" if g > 20 else f"{k},{1000 * g:.2f} nS" for k, g in enumerate(G)]
    return Case(lines("pulse,G", *rows), [(RAMPS, 1e-6 * G, "")], unit="S")


@case
def fortran_numbers_in_columns():
    rows = [f"  {k:6d}   {g:.6E}".replace("E", "D") for k, g in enumerate(G)]
    return Case(lines("   pulse   G_uS", *rows), [(RAMPS, G, "")])


@case
def labview_header():
    head = ["LabVIEW Measurement\t", "Writer_Version\t2", "Reader_Version\t2", "Separator\tTab", "Date\t2024/05/06",
            "***End_of_Header***\t", "Channels\t1\t", "Samples\t120\t", "***End_of_Header***\t"]  # fmt: skip
    return Case(
        lines(*head, "X_Value\tG (uS)\tComment", *(f"{k}.0\t{g:.4f}\t" for k, g in enumerate(G))), [(RAMPS, G, "")]
    )


@case
def table_with_bars():
    rows = [f"| {k} | {g:.4f} |" for k, g in enumerate(G)]
    return Case(lines("| pulse | G (uS) |", "|---|---|", *rows), [(RAMPS, G, "")])


@case
def missing_readings():
    cells = [f"{g:.4f}" for g in G]
    cells[10], cells[20], cells[30], cells[90] = "NaN", "OVLD", "9.9E37", ""
    filled = G.copy()
    for k in (10, 20, 30, 90):
        filled[k] = (G[k - 1] + G[k + 1]) / 2
    data = lines("pulse,G (uS)", *(f"{k},{cell}" for k, cell in enumerate(cells)))
    return Case(data, [(RAMPS, filled, "")], missing=[10, 20, 30, 90])


@case
def skipped_pulse_numbers():
    filled = G.copy()
    filled[40] = (G[39] + G[41]) / 2
    data = lines("pulse,G (uS)", *(f"{k},{g:.4f}" for k, g in enumerate(G) if k != 40))
    return Case(data, [(RAMPS, filled, "")], missing=[40])


@case
def conductance_beside_current():
    rows = [f"{k},{0.1e-6 * g:.6e},{1e-6 * g:.6e},25" for k, g in enumerate(G)]
    return Case(lines("Pulse#,I (A),G (S),T (C)", *rows), [(RAMPS, 1e-6 * G, "")], unit="S")


@case
def other_language():
    return Case(lines("脉冲,电导 (μS)", *(f"{k},{g:.4f}" for k, g in enumerate(G))), [(RAMPS, G, "")])


@case
def down_first():
    pulses = -RAMPS
    response = states(pulses, start=49)[:-1]
    return Case(lines("G (uS)", *(f"{g:.4f}" for g in response)), [(pulses, response, "")])


@case
def the_tutorial_protocol_in_one_column():
    response = states(tutorial_pulses(), up=0.01, down=0.012, start=20)[:-1]
    return Case(lines(*(f"{g:.4f}" for g in response)), [(tutorial_pulses(), response, "")], unit="")


# --- workbooks --------------------------------------------------------------------------------------------------------


@case
def a_sheet_for_each_branch():
    data = sheet_bytes(
        LTP=[["pulse", "G (uS)"], *([k, g] for k, g in enumerate(UP))],
        LTD=[["pulse", "G (uS)"], *([k, g] for k, g in enumerate(DOWN))],
        Settings=[["Vset", 1.5], ["Vreset", -1.7]],
    )
    return Case(data, branches())


@case
def a_sheet_for_each_device():
    traces = [states(RAMPS, seed=j)[:-1] for j in range(3)]
    sheets = {f"Dev_{j}": [["pulse", "G (uS)"], *([k, g] for k, g in enumerate(t))] for j, t in enumerate(traces)}
    return Case(sheet_bytes(**sheets), [(RAMPS, t, f"Dev {j}") for j, t in enumerate(traces)])


@case
def a_table_in_the_middle_of_a_sheet():
    head = [["Report of lot 17"], [], [None, None, "operator", "X"], []]
    rows = [[None, None, "pulse", "polarity", "G (uS)", None]]
    rows += [[None, None, k, int(p), g] for k, (p, g) in enumerate(zip(RAMPS, G, strict=True))]
    return Case(sheet_bytes(Data=[*head, *rows]), [(RAMPS, G, "")])


@case
def numbers_kept_as_german_text():
    rows = [[str(k), f"{g:.4f}".replace(".", ",")] for k, g in enumerate(G)]
    return Case(sheet_bytes(Tabelle1=[["Puls", "Leitwert in µS"], *rows]), [(RAMPS, G, "")])


# --- logs, names and blocks that mislead ------------------------------------------------------------------------------


def readings(pulses=RAMPS, response=G, voltage=0.1, pulse_rows=1, read_rows=1):
    """Rows of (voltage, current in A) of a log: the pulse, then the reads of the state after it."""
    rows = []
    for pulse, after in zip(pulses, states(pulses)[1:], strict=True):
        rows += [(1.5 * pulse, 1.5 * pulse * after * 1e-6)] * pulse_rows
        rows += [(voltage, voltage * after * 1e-6)] * read_rows
    return rows


@case
def a_waveform_sampled_many_times_a_pulse():
    rows = readings(pulse_rows=3, read_rows=9)
    data = lines("t (s),V (V),I (A)", *(f"{k * 1e-6:.6e},{v:g},{i:.6e}" for k, (v, i) in enumerate(rows)))
    return Case(data, [(RAMPS[1:], 1e-7 * states(RAMPS)[1:-1], "")], unit="A", rtol=1e-3)


@case
def unequal_voltages_in_long_ramps_are_no_reads():
    rows = (f"{1.0 if p > 0 else -2.5},{g:.4f}" for p, g in zip(RAMPS, G, strict=True))
    return Case(lines("V (V),G (uS)", *rows), [(RAMPS, G, "")])


@case
def amplitudes_that_grow_along_the_ramp():
    rows = (f"{p * (1 + 0.01 * (k % 60)):.2f},{g:.4f}" for k, (p, g) in enumerate(zip(RAMPS, G, strict=True)))
    return Case(lines("V (V),G (uS)", *rows), [(RAMPS, G, "")])


@case
def down_pulses_counted_with_a_minus():
    counts = np.concatenate([np.arange(1, 61), -np.arange(1, 61)])
    return Case(lines("pulse,G (uS)", *(f"{k},{g:.4f}" for k, g in zip(counts, G, strict=True))), [(RAMPS, G, "")])


@case
def state_before_and_after_each_pulse():
    all_states = states(RAMPS)
    rows = (f"{p},{a:.4f},{b:.4f}" for p, a, b in zip(RAMPS, all_states, all_states[1:], strict=False))
    return Case(lines("polarity,G_before (uS),G_after (uS)", *rows), [(RAMPS, G, "")])


@case
def branches_below_each_other_in_their_own_columns():
    rows = [f"{k + 1},{g:.4f}," for k, g in enumerate(UP)] + [f"{k + 61},,{g:.4f}" for k, g in enumerate(DOWN)]
    return Case(lines("pulse,potentiation (uS),depression (uS)", *rows), branches())


@case
def branches_named_by_a_letter():
    rows = (f"{a:.4f},{b:.4f},{c:.4f},{d:.4f}" for a, b, c, d in zip(UP, DOWN, OTHER_UP, OTHER_DOWN, strict=True))
    return Case(lines("P1,D1,P2,D2", *rows), [*branches(), *branches(OTHER_UP, OTHER_DOWN)], unit="")


@case
def addresses_of_crosspoints():
    traces = {(a, b): states(RAMPS, seed=2 * a + b)[:-1] for a in range(2) for b in range(2)}
    rows = [f"{a},{b},{k},{g:.4f}" for (a, b), trace in traces.items() for k, g in enumerate(trace)]
    return Case(lines("row,col,pulse,G (uS)", *rows), [(RAMPS, t, f"row {a}, col {b}") for (a, b), t in traces.items()])


@case
def cycles_on_their_side_with_a_title():
    traces = [states(RAMPS, seed=j)[:-1] for j in range(4)]
    head = ["Cycle", *(f"P{k + 1}" for k in range(60)), *(f"D{k + 1}" for k in range(60))]
    rows = [",".join([str(j + 1), *(f"{g:.4f}" for g in trace)]) for j, trace in enumerate(traces)]
    return Case(lines(",".join(head), *rows), [(RAMPS, trace, "") for trace in traces], unit="")


@case
def titles_in_columns_of_spaces():
    blocks = [f"Cycle {j + 1}\n" + "\n".join(f"{k + 1} {g:.4f}" for k, g in enumerate(G)) for j in range(2)]
    return Case(("\n\n".join(blocks) + "\n").encode(), [(TWICE, np.tile(G, 2), "")], unit="")


@case
def headers_said_again_above_each_cycle():
    block = ["Sample,Reading (uS)", *(f"{k + 1},{g:.4f}" for k, g in enumerate(G))]
    return Case(lines(*block, *block), [(TWICE, np.tile(G, 2), "")])


@case
def names_in_the_last_comment():
    rows = (f"{k + 1}\t{g:.4f}" for k, g in enumerate(G))
    return Case(lines("% device A3", "% read at 0.05 V", "% n\tG/uS", *rows), [(RAMPS, G, "")])


@case
def units_behind_the_names_of_devices():
    traces = [states(RAMPS, seed=j)[:-1] for j in range(5)]
    rows = ("\t".join(f"{t[k]:.4f}" for t in traces) for k in range(120))
    head = "\t".join(f"D1_{j} (uS)" for j in range(5))
    return Case(lines(head, *rows), [(RAMPS, t, f"D1_{j}") for j, t in enumerate(traces)])


# --- arrays -----------------------------------------------------------------------------------------------------------


@case
def numpy_vector():
    return Case(saved(np.save, G), [(RAMPS, G, "")], unit="")


@case
def numpy_matrix_of_devices():
    traces = np.stack([states(RAMPS, seed=j)[:-1] for j in range(6)])
    return Case(saved(np.save, traces), [(RAMPS, t, f"column {j + 1}") for j, t in enumerate(traces)], unit="")


@case
def numpy_archive_with_pulses():
    data = saved(np.savez, pulses=RAMPS, conductance=1e-6 * G, v_read=0.1, unit="S")
    return Case(data, [(RAMPS, 1e-6 * G, "")], unit="S")


@case
def numpy_records():
    table = np.zeros(120, dtype=[("polarity", "i1"), ("G_uS", "f4")])
    table["polarity"], table["G_uS"] = RAMPS, G
    return Case(saved(np.save, table), [(RAMPS, G, "")])


@case
def matlab_vectors():
    data = saved(scipy.io.savemat, {"LTP": UP, "LTD": DOWN[:50], "V_read": 0.1}, do_compression=True)
    return Case(data, branches(down=DOWN[:50]), unit="")


@case
def matlab_structure():
    data = saved(scipy.io.savemat, {"data": {"pulse": RAMPS.astype(float), "G_uS": G, "note": "chip 4"}})
    return Case(data, [(RAMPS, G, "")])


@case
def settings_right_above_the_names():
    head = ["Test Name,ltp#1@1", "Force Range,10,V", "Compliance,0.001,A", "NPLC,1", "Delay,0.01,s", ""]
    rows = [f"{k},{1.5 if p > 0 else -1.7},0.1,{1e-7 * g:.6e}" for k, (p, g) in enumerate(zip(RAMPS, G, strict=True))]
    return Case(lines(*head, "Index,PulseV,Vread,Iread", *rows), [(RAMPS, 1e-7 * G, "")], unit="A")


@case
def analyser_with_words_in_every_row():
    head = ["SetupTitle,LTP", "TestParameter,Bias,0.1,0", "Dimension1,120,120,120", "DataName, Index, I1, V1"]
    rows = [f"DataValue, {k + 1}, {1e-7 * g:.6E}, 0.1" for k, g in enumerate(G)]
    return Case(lines(*head, *rows), [(RAMPS, 1e-7 * G, "")], unit="A")


@case
def names_units_and_comments_above():
    rows = [f"{k},{g:.4f}" for k, g in enumerate(G)]
    return Case(lines("Pulse Number,Conductance", ",uS", "Comments,run 3", *rows), [(RAMPS, G, "")])


@case
def cells_in_percent():
    rows = [f"{k};{2 * g:.3f} %".replace(".", ",") for k, g in enumerate(G)]
    return Case(lines("Puls;G/Gmax", *rows), [(RAMPS, 2 * G, "")], unit="%")


@case
def prefixes_in_cells():
    return Case(lines("pulse,G", *(f"{k},{g:.4f}u" for k, g in enumerate(G))), [(RAMPS, 1e-6 * G, "")], unit="S")


@case
def power_of_ten_in_the_header():
    return Case(lines("pulse,I (x1e-7 A)", *(f"{k},{g:.4f}" for k, g in enumerate(G))), [(RAMPS, 100 * G, "")], "nA")


@case
def logarithms():
    rows = [f"{k},{np.log10(1e-6 * g):.6f}" for k, g in enumerate(G)]
    return Case(lines("pulse,log10(G/S)", *rows), [(RAMPS, 1e-6 * G, "")], unit="S")


@case
def currents_read_at_a_negative_voltage():
    rows = [f"{k},{1.1 if p > 0 else -1.2},{-g:.4f}" for k, (p, g) in enumerate(zip(RAMPS, G, strict=True))]
    return Case(lines("n,V_pulse,I_read (nA)", *rows), [(RAMPS, G, "")], unit="nA")


@case
def drain_and_gate_currents():
    rows = [
        f"{k},{0.5 * p},{1e-7 * g:.5e},{1e-12 * (k % 5):.1e}" for k, (p, g) in enumerate(zip(RAMPS, G, strict=True))
    ]
    return Case(lines("t (s),Vgs (V),Ids (A),Igs (A)", *rows), [(RAMPS, 1e-7 * G, "")], unit="A")


@case
def whole_thousands_in_quotes():
    rows = [f'{k},"{1e6 / g:,.0f}"' for k, g in enumerate(G)]
    return Case(lines("pulse,R (Ohm)", *rows), [(RAMPS, 1e-6 * G, "")], unit="S", rtol=1e-3)


@case
def thousands_apart_by_spaces():
    rows = [f"{k};{1e6 / g:,.1f}".replace(",", " ").replace(".", ",") for k, g in enumerate(G)]
    return Case(lines("Impuls;R (Ohm)", *rows), [(RAMPS, 1e-6 * G, "")], unit="S", rtol=1e-3)


@case
def signs_and_words_for_no_reading():
    odd = {10: "---", 40: "***", 41: "> max", 77: "?", 90: "overrange"}
    rows = [f"{k},{odd.get(k, f'{g:.4f}')}" for k, g in enumerate(G)]
    made = np.interp(np.arange(120), np.setdiff1d(np.arange(120), list(odd)), np.delete(G, list(odd)))
    return Case(lines("pulse,G (uS)", *rows), [(RAMPS, made, "")], missing=list(odd))


@case
def means_below_the_columns():
    rows = [f"{a:.4f},{b:.4f}" for a, b in zip(UP, DOWN, strict=True)]
    return Case(lines("up,down", *rows, "", f"{UP.mean():.4f},{DOWN.mean():.4f}"), branches(), unit="")


@case
def a_table_drawn_with_bars():
    return Case(
        lines("| n | G (uS) |", "|---|---|", *(f"| {k} | {g:.4f} |" for k, g in enumerate(G))), [(RAMPS, G, "")]
    )


@case
def every_state_read_three_times():
    rows = [f"{k},{j},{g + 0.3 * (j - 1):.4f}" for k, g in enumerate(G) for j in range(3)]
    return Case(lines("pulse,read,G (uS)", *rows), [(RAMPS, G, "")])


@case
def sorted_by_pulse_number():
    rows = [
        f"{c},{word},{k},{g:.4f}"
        for k in range(60)
        for c in (1, 2)
        for word, g in (("depression", DOWN[k]), ("potentiation", UP[k]))
    ]
    return Case(lines("cycle,direction,pulse,G_uS", *rows), [(TWICE, np.tile(G, 2), "")])


@case
def pulses_in_turn_at_the_end():
    pulses = np.concatenate([RAMPS, np.tile([1, -1], 40)])
    found = states(pulses, up=0.08, down=0.08, noise=0.05)[:-1]
    return Case(lines("G (uS)", *(f"{g:.4f}" for g in found)), [(pulses, found, "")])


@case
def nothing_but_pulses_in_turn():
    pulses = np.tile([1, -1], 150)
    found = states(pulses, start=48.0, noise=0.05)[:-1]
    return Case(lines("G (uS)", *(f"{g:.4f}" for g in found)), [(pulses, found, "")])


@case
def values_that_run_on_from_line_to_line():
    return Case(lines(*(" ".join(f"{g:.4f}" for g in G[k : k + 8]) for k in range(0, 120, 8))), [(RAMPS, G, "")], "")


@case
def times_that_begin_anywhere_without_names():
    return Case(lines(*(f"{12.5 + 0.25 * k:.2f} {g:.4f}" for k, g in enumerate(G))), [(RAMPS, G, "")], unit="")


@case
def matlab_array_of_structures():
    entries = np.array([(G, 1.0), (OTHER, 2.0)], dtype=[("G_uS", object), ("chip", object)])
    data = saved(scipy.io.savemat, {"dev": entries})
    return Case(data, [(RAMPS, G, "dev 1.G_uS"), (RAMPS, OTHER, "dev 2.G_uS")])


@case
def matlab_cells():
    cells = np.empty(2, dtype=object)
    cells[:] = [G, OTHER]
    return Case(saved(scipy.io.savemat, {"G": cells}), [(RAMPS, G, "G 1"), (RAMPS, OTHER, "G 2")], unit="")


@pytest.mark.parametrize("name", CASES)
def test_layout_is_read_without_help(name):
    expected = CASES[name]()
    reading = inspect_file(expected.data)
    assert reading.measurement is not None, reading.declined
    measurement = reading.measurement
    found = [(len(r), r.device, r.label) for r in measurement.records]
    assert len(measurement.records) == len(expected.records), (found, measurement.notes)
    for record, (pulses, response, device) in zip(measurement.records, expected.records, strict=True):
        assert len(record) == len(pulses), (found, measurement.notes)
        np.testing.assert_allclose(record.response, response, rtol=expected.rtol)
        agree = np.mean(record.pulses == pulses)
        # Where the turn follows from noisy values alone it may be off by the pulses that the noise hides.
        assert agree >= 0.97, (measurement.protocol, measurement.notes)
        assert record.device == device
    assert measurement.unit == expected.unit
    if expected.missing:
        assert measurement.records[0].missing.tolist() == expected.missing
    assert measurement.confidence >= 0.6
    assert all(guess.reason for guess in reading.guesses)
    assert all(column.reason for column in reading.columns)
