"""Units and quantities as people write them in headers."""

from __future__ import annotations

import math
import re

_PREFIX = {sign: sign for sign in ("", "f", "p", "n", "µ", "m", "k", "M", "G")} | {"u": "µ", "μ": "µ"}
_PREFIX_WORDS = {"": "", "femto": "f", "pico": "p", "nano": "n", "micro": "µ", "milli": "m", "kilo": "k", "mega": "M"}
_BASE_WORDS = {"amp": "A", "amps": "A", "ampere": "A", "amperes": "A", "siemens": "S", "ohm": "Ω", "ohms": "Ω"}
_BASE_WORDS |= {"mho": "S", "mhos": "S"}
_BASE_WORDS |= {"volt": "V", "volts": "V", "second": "s", "seconds": "s"}
_SHORT = re.compile(r"^([fpnuµμmkMG]?)(S|A|V|s|Ω|Ω|[Oo]hm|OHM)$")
_LONG = re.compile(
    rf"({'|'.join(word for word in _PREFIX_WORDS if word)})?({'|'.join(sorted(_BASE_WORDS, key=len, reverse=True))})"
)

QUANTITY_OF_UNIT = {"S": "conductance", "A": "current", "Ω": "resistance", "V": "voltage", "s": "time"}

_QUANTITY_WORDS = {
    "conductance": ("conductance", "leitwert", "leitfähigkeit", "conductancia", "cond"),
    "current": ("current", "strom", "courant", "corriente"),
    "resistance": ("resistance", "widerstand", "resistencia", "rlrs", "rhrs"),
    "voltage": ("voltage", "volt", "spannung", "bias", "vpulse", "amplitude"),
    "time": ("time", "zeit", "temps", "tiempo", "timestamp"),
    "weight": ("weight", "gewicht", "poids", "normalised", "normalized", "norm"),
}
_QUANTITY_LETTERS = {"g": "conductance", "i": "current", "r": "resistance", "v": "voltage", "t": "time", "w": "weight"}
# "Iread", "G_meas", "I1"; R1 may be a run and a resistance would be inverted.
_SHORT_NAME = re.compile(r"^(?:([girv])_?(?:read|meas|ds|sd|drain|dut|cell|avg|mean|out)|([giv])\d{1,2})$")
_SI = {"conductance": "S", "current": "A", "resistance": "Ω", "voltage": "V", "time": "s"}


def words_of(header: str) -> list[str]:
    """Lower-case words of a header, split at spaces, signs and underscores."""
    return [word for word in re.split(r"[^0-9A-Za-zÀ-ÿµμΩΩ#+%]+", header.lower()) if word]


def parse_unit(text: str) -> str:
    """The unit written as ``text`` (``"uS"``, ``"microampere"``), in its usual spelling; empty when it is none."""
    word = text.strip(" ()[]{}.,:;")
    if word == "%":
        return word
    short = _SHORT.match(word)
    if short:
        base = "Ω" if short[2].lower() == "ohm" or short[2] in "ΩΩ" else short[2]
        return _PREFIX[short[1]] + base
    long = _LONG.fullmatch(word.lower())
    return _PREFIX_WORDS[long[1] or ""] + _BASE_WORDS[long[2]] if long else ""


_EXPONENT = {"f": -15, "p": -12, "n": -9, "µ": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9}
_NUMBER_AND_UNIT = re.compile(r"^([-+\u2212]?(?:\d+[.,]?\d*|[.,]\d+)(?:[eE][-+]?\d{1,3})?)\s*([^\d\s].{0,11})$")


def split_number_and_unit(text: str) -> tuple[float, str] | None:
    """Number in the unit without prefix, and that unit, of a cell such as ``"1.25 µS"``; None when it is none.

    The unit is empty where the cell has a prefix only.
    """
    match = _NUMBER_AND_UNIT.match(text.strip())
    if not match:
        return None
    number = float(match[1].replace(",", ".").replace("\u2212", "-"))
    if match[2] in _PREFIX:  # "2.01u", as circuit simulators write
        return number * 10.0 ** _EXPONENT[_PREFIX[match[2]]], ""
    unit = parse_unit(match[2])
    return (number * prefix_factor(unit), unit[-1]) if unit else None


def prefix_factor(unit: str) -> float:
    """What one of ``unit`` is in the unit without prefix: 1e-6 for µS."""
    return 10.0 ** _EXPONENT[unit[:-1]]


def readable_unit(size: float, unit: str) -> tuple[float, str]:
    """A unit in which a number of that size in ``unit`` reads well, and what to multiply numbers with: µS for 6e4 nS.

    The unit itself where that is so already, where it is none of ours, or where no prefix is small or large enough.
    """
    if not quantity_of_unit(unit) or not size or not math.isfinite(size) or 0.001 <= abs(size) < 1000:
        return 1.0, unit
    power = math.floor(math.log10(abs(size))) + _EXPONENT[unit[:-1]]
    prefix = next((sign for sign, exponent in _EXPONENT.items() if 0 <= power - exponent < 3), unit[:-1])
    return 10.0 ** (_EXPONENT[unit[:-1]] - _EXPONENT[prefix]), prefix + unit[-1]


_POWER = re.compile(
    r"([(\[{])\s*[x×*·]?\s*(?:10\s*(?:\^|\*\*)?\s*\{?\s*([-+\u2212]\d{1,2}|[⁻⁺]?[⁰¹²³⁴⁵⁶⁷⁸⁹]{1,2})\}?|1[eE]([-+]?\d{1,2}))"
    r"\s*[*·]?\s*([^\d\s)\]}]{1,8})\s*([)\]}])"
)
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺\u2212", "0123456789-+-")


def without_power_of_ten(header: str) -> tuple[str, float]:
    """A header such as ``"G (10^-6 S)"`` with a prefix for the power, and what its numbers are to be multiplied by."""
    match = _POWER.search(header)
    unit = parse_unit(match[4]) if match else ""
    if not match or quantity_of_unit(unit) == "":
        return header, 1.0
    power = int((match[2] or match[3]).translate(_RAISED)) + _EXPONENT[unit[:-1]]
    prefix, left = next(
        ((sign, power - exponent) for sign, exponent in _EXPONENT.items() if 0 <= power - exponent < 3), ("", power)
    )
    spelt = f"{header[: match.start()]}{match[1]}{prefix}{unit[-1]}{match[5]}{header[match.end() :]}"
    return spelt, 10.0**left


def unit_in_header(header: str) -> str:
    """The unit named in a header such as ``"G_mS"``, ``"Current (A)"`` or ``"I [uA]"``; empty when there is none."""
    for bracketed in re.findall(r"[(\[{]([^)\]}]*)[)\]}]", header):
        unit = parse_unit(bracketed)
        if unit:
            return unit
    pieces = [piece for piece in re.split(r"[\s_/,;:|]+", header) if piece]
    for piece in reversed(pieces[1:]):
        unit = parse_unit(piece)
        if unit:
            return unit
    return ""


def unit_in_sentence(text: str) -> str:
    """The unit of a read-out named in a comment, e.g. ``"read current in microampere"``."""
    for match in re.finditer(r"\bin\s+(\S+)|[(\[]([^)\]]+)[)\]]", text):
        unit = parse_unit(match[1] or match[2] or "")
        if unit and quantity_of_unit(unit) in {"conductance", "current", "resistance"}:
            return unit
    return ""


def quantity_of_unit(unit: str) -> str:
    """What a unit measures; empty when unknown."""
    return QUANTITY_OF_UNIT.get(unit[-1:], "")


def quantity_in_header(header: str) -> str:
    """What a header names: conductance, current, resistance, voltage, time, weight; empty when unknown."""
    words = words_of(header)
    for quantity, known in _QUANTITY_WORDS.items():
        if any(word.startswith(name) for word in words for name in known):
            return quantity
    if words and words[0] in _QUANTITY_LETTERS:
        return _QUANTITY_LETTERS[words[0]]
    short = _SHORT_NAME.match(words[0]) if words else None
    if short:
        return _QUANTITY_LETTERS[short[1] or short[2]]
    unit = unit_in_header(header)
    return quantity_of_unit(unit) if unit else ""


def si_unit(quantity: str) -> str:
    """The SI unit of a quantity; empty for a weight."""
    return _SI.get(quantity, "")


def inverse_unit(unit: str) -> str:
    """Conductance unit that belongs to a resistance unit: kΩ to mS, MΩ to µS."""
    return {"Ω": "S", "kΩ": "mS", "MΩ": "µS", "GΩ": "nS", "mΩ": "kS"}.get(unit, "")
