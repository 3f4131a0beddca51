"""What a user may say about a file when the reader's guess is wrong."""

from __future__ import annotations

from tilewright.parameters import Choice, Parameters, parameter


class Layout(Choice):
    """How the numbers are arranged."""

    AUTO = "auto"
    ONE_COLUMN = "one-column"
    UP_DOWN = "up-down"
    WIDE = "wide"
    SEQUENCE = "sequence"
    LONG = "long"


class Separator(Choice):
    """What stands between two cells."""

    AUTO = "auto"
    COMMA = "comma"
    SEMICOLON = "semicolon"
    TAB = "tab"
    SPACE = "space"
    BAR = "bar"


class Decimal(Choice):
    """What stands before the decimals."""

    AUTO = "auto"
    POINT = "point"
    COMMA = "comma"


class Sampling(Choice):
    """When a row was read; ``AUTO`` looks at the turns of a given polarity column and otherwise takes ``BEFORE``."""

    AUTO = "auto"
    BEFORE = "before"
    AFTER = "after"


class ReadOptions(Parameters):
    """Overrides of the reader's guess; everything left alone is found from the file.

    Columns are named by their header or by their number, from 1.
    """

    layout: Layout = parameter(
        Layout.AUTO, "arrangement of the numbers: one column, up and down columns, one column per ramp or device, ..."
    )
    protocol: str = parameter(
        "auto", "the pulses of each column, e.g. '200 up, 200 down, 100 x (up, down)'; 'auto' finds them"
    )
    sampling: Sampling = parameter(Sampling.AUTO, "row k was read before or after pulse k")
    unit: str = parameter("", "unit of the values; empty takes it from the file", max_length=20)
    value_columns: list[str] = parameter(factory=list, meaning="columns that hold the response; empty finds them")
    pulse_column: str = parameter("", "column with the polarity or voltage of each pulse; empty finds it")
    ignored_columns: list[str] = parameter(factory=list, meaning="columns to leave out")
    cycle_column: str = parameter("", "column with the number of the cycle; empty finds it")
    device_column: str = parameter("", "column with the name of the device; empty finds it")
    resistance: bool | None = parameter(
        None, "the values are resistances, to be turned into conductances; None asks the header"
    )
    read_voltage: float | None = parameter(
        None, "voltage of the read; currents are divided by it and shown as conductances", unit="V"
    )
    mirrored: bool = parameter(False, "the down branch was recorded last pulse first: turn it round")
    separator: Separator = parameter(Separator.AUTO, "what stands between two cells", group="File")
    decimal: Decimal = parameter(Decimal.AUTO, "decimal point or decimal comma", group="File")
    header_rows: int | None = parameter(None, "rows above the data; None finds them", ge=0, le=1000, group="File")
    sheet: str = parameter(
        "",
        "sheet of a workbook or name of an array; empty takes all that hold a response",
        max_length=100,
        group="File",
    )
