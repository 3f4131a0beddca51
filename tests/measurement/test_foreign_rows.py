"""Tables of days, names and other figures are declined; what laboratories write beside their readings is not."""

from __future__ import annotations

import datetime
import uuid

import numpy as np
import pytest

from tilewright.measurement import ReadOptions, inspect_file

N = 120
COURSE = np.concatenate([np.linspace(10, 30, N // 2), np.linspace(30, 12, N // 2)])
FIRST = datetime.datetime(2024, 1, 1, 9)
SYLLABLES = ["an", "bo", "ci", "du", "el", "fa", "go", "hu", "ir", "jo", "ka"]
DAYS = [FIRST + datetime.timedelta(days=k) for k in range(N)]
NAMES = [SYLLABLES[k % 11] + SYLLABLES[k // 11] for k in range(N)]


def read(header, *columns, **options):
    rows = [",".join(str(cell) for cell in row) for row in zip(*columns, strict=True)]
    return inspect_file("\n".join([header, *rows]).encode(), options=ReadOptions(**options))


@pytest.mark.parametrize(
    ("header", "columns", "seems"),
    [
        ("Date,Close", ([f"{day:%Y-%m-%d}" for day in DAYS], COURSE), "a record over days"),
        ("day,level", ([f"{day:%d.%m.%Y}" for day in DAYS], COURSE), "a record over days"),
        ("when,level", ([f"{day:%Y-%m-%d} 00:00:00" for day in DAYS], COURSE), "a record over days"),
        ("month,mm", ([f"{day:%b} {1990 + k}" for k, day in enumerate(DAYS)], COURSE), "a record over days"),
        ("name,x", (NAMES, COURSE), "a table of named things"),
        ("id,first,x", (range(N), [f"Mr {name}" for name in NAMES], COURSE), "a table of named things"),
        ("price", (COURSE,), "a record of prices or money"),
        ("cycle,capacity_mAh", (range(N), COURSE), "a record of a machine or a body"),
        ("time,cpu,x", (range(N), COURSE, COURSE**2), "a record of a machine or a body"),
        ("year,anomaly", (range(1900, 1900 + N), COURSE), "a record over years"),
    ],
)
def test_rows_that_are_no_pulses(header, columns, seems):
    reading = read(header, *columns)
    assert reading.measurement is None
    assert seems in reading.declined.seems


DIRECTIONS = ["up"] * (N // 2) + ["down"] * (N // 2)


@pytest.mark.parametrize(
    ("header", "columns"),
    [
        ("date,G (uS)", ([f"{FIRST:%Y-%m-%d}"] * N, COURSE)),
        ("date,G (uS)", ([f"{DAYS[k // 60]:%Y-%m-%d}" for k in range(N)], COURSE)),
        ("time,G (uS)", ([f"{FIRST + datetime.timedelta(minutes=k):%Y-%m-%d %H:%M}" for k in range(N)], COURSE)),
        ("label,G (uS)", ([f"pulse_{k:03d}" for k in range(N)], COURSE)),
        ("file,G (uS)", ([f"run{k}.csv" for k in range(N)], COURSE)),
        ("id,G (uS)", ([uuid.UUID(int=k * 0x9E3779B97F4A7C15F39CC0605CEDC834 % 2**128) for k in range(N)], COURSE)),
        ("note,G (uS)", (["set point reached"] + [""] * (N - 2) + ["end of the run"], COURSE)),
        ("balance,G (uS)", (COURSE[::-1], COURSE)),
        ("name,dir,x", (NAMES, DIRECTIONS, COURSE)),
        ("amount,dir", (COURSE, DIRECTIONS)),
    ],
)
def test_what_stands_beside_readings(header, columns):
    reading = read(header, *columns)
    assert reading.measurement is not None, reading.declined


def test_a_stated_protocol_overrides():
    assert read("name,x", NAMES, COURSE, protocol=f"{N // 2} up, {N // 2} down").measurement is not None
