"""Declining tables whose rows are no pulses: days, named things, or figures of something else."""

from __future__ import annotations

import re

from tilewright.measurement.block import Block, Column
from tilewright.measurement.record import MeasurementError
from tilewright.measurement.roles import Roles
from tilewright.measurement.units import quantity_in_header, words_of

OVERRIDE = ", not a pulse response. If it is one after all, state its layout or protocol"
# Share of the rows that have a day, or a name, of their own. Sequences are measured within a day or two, and what a
# laboratory writes beside its readings (directions, devices, files and pulses with their number) repeats.
_OWN = 0.5
_MONTHS = "jan|feb|mar|mär|apr|may|mai|jun|jul|aug|sep|oct|okt|nov|dec|dez"
_DAY = re.compile(
    r"^(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}|\d{4}-\d{2}"
    rf"|(?:\d{{1,2}}[ -])?(?:{_MONTHS})[a-zäé]*[.,]?[ -](?:\d{{1,2}},? )?\d{{2,4}})"
    r"([ T]+00:00(:00([.,]0+)?)?)?Z?$",
    re.IGNORECASE,
)
_NO_NAME = re.compile(r"\w*\d\w*|[\W_]+")  # numbers, and codes with numbers in them

# Words for what no device answers to a pulse, by what a table of them is.
_ELSEWHERE = {
    "a record of prices or money": "price prices salary wage income revenue sales amount balance cost usd eur preis",
    "a table of people or results": "age population score grade rating votes goals views clicks visitors cases deaths",
    "a record of the weather": "humidity rainfall precipitation celsius fahrenheit niederschlag",
    "a record of places": "latitude lat longitude lon elevation altitude ele",
    "a record of a machine or a body": "cpu ram bpm rpm mah speed velocity acceleration kg km mmhg",
}
_ANSWERS = {"conductance", "current", "resistance", "weight"}
_SEEMS = {word: seems for seems, words in _ELSEWHERE.items() for word in words.split()}


def screen_rows(roles: Roles, block: Block, certain: bool) -> None:
    """Raise where each row is a day or a named thing, or the responses are figures of something else.

    Args:
        roles: what the columns were taken for.
        block: the table.
        certain: the user stated layout or protocol, or a polarity column gives the pulses: do not decline.
    """
    if certain:
        return
    for column in block.columns:
        _screen_words(column)
    words = [words_of(column.header.replace("_", " ")) for column in roles.values]
    found = [next((word for word in said if word in _SEEMS), "") for said in words]
    known = any(quantity_in_header(column.header) in _ANSWERS for column in roles.values)
    if len([word for word in found if word]) >= _OWN * len(found) and not known:
        title, seems = next((c.title, _SEEMS[word]) for c, word in zip(roles.values, found, strict=True) if word)
        raise MeasurementError(f"{title!r} names no conductance, current, resistance or weight", seems=seems + OVERRIDE)


def _screen_words(column: Column) -> None:
    words = [word.strip() for word in column.words if word.strip()]
    if len(words) < _OWN * max(len(column.words), 1):
        return
    days = {match[1] for match in map(_DAY.match, words) if match}
    if len(days) > _OWN * len(words):
        raise MeasurementError(
            f"{column.title!r} has a date for each row ({words[0]}, {words[1]} ...), and no pulses are given",
            seems="a record over days" + OVERRIDE,
        )
    names = {_NO_NAME.sub(" ", word).strip().lower() for word in words}
    if len(names) > max(_OWN * len(words), 2):
        raise MeasurementError(
            f"{column.title!r} has a name for each row ({words[0][:30]!r}, {words[1][:30]!r} ...), and no pulses are "
            "given",
            seems="a table of named things" + OVERRIDE,
        )
