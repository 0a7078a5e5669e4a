"""Rows of decimal numbers to integers and back, exactly and fast."""

from __future__ import annotations

import numpy as np
from numba import njit

NEWLINE, COMMENT, SPACE, TAB, RETURN, COMMA = (ord(character) for character in "\n# \t\r,")
PLUS, MINUS, POINT, SMALL_E, LARGE_E, ZERO, NINE = (ord(character) for character in "+-.eE09")
LEAST = np.iinfo(np.int64).min
TENTH = -(-int(LEAST) // 10)  # times ten, it still fits
MOST_PLACES = 18  # ten to this power fits
LARGEST = 1 << 40  # exponent: far more than a line has digits


@njit(cache=True)
def parse_rows(
    data: np.ndarray, separator: int, roles: np.ndarray, shift: int, rows: np.ndarray
) -> tuple[int, int, bool]:
    """Parse whole lines into integers.

    data: uint8 [N]. separator: a byte; a space stands for any run of blanks. roles: of each of the columns that a line
    must have, where its number goes in a row, -1: nowhere. shift: numbers that go to 0 are multiplied by 10 ** shift
    and rounded; the others, and these for shift 0, must be whole. rows: int64 [M, K] to fill; blank lines and those
    that start with "#" give none.

    Returns how many rows were filled, the bytes used, and whether it stopped at a line that is no such row.
    """
    count = at = 0
    while at < len(data) and count < len(rows):
        line = end = at
        while end < len(data) and data[end] != NEWLINE:
            end += 1
        if end == len(data):
            return count, line, False
        at = _after_blanks(data, at, end, separator)
        if at < end and data[at] != COMMENT:
            filled = column = 0
            while at < end:
                role = roles[column] if column < len(roles) else -1
                if role >= 0:
                    good, value, at = _number(data, at, end, shift if role == 0 else 0)
                    if not good or (at < end and data[at] not in (separator, SPACE, TAB, RETURN)):
                        return count, line, True
                    rows[count, role] = value
                    filled += 1
                while at < end and data[at] != separator and (role < 0 or data[at] in (SPACE, TAB, RETURN)):
                    at += 1
                at = _after_blanks(data, at + (separator != SPACE), end, separator)
                column += 1
            if filled < rows.shape[1] or column != len(roles):
                return count, line, True
            count += 1
        at = end + 1
    return count, at, False


@njit(cache=True)
def _after_blanks(data: np.ndarray, at: int, end: int, separator: int) -> int:
    while at < end and data[at] in (SPACE, TAB, RETURN) and (data[at] != separator or separator == SPACE):
        at += 1
    return at


@njit(cache=True)
def _number(data: np.ndarray, at: int, end: int, shift: int) -> tuple[bool, int, int]:
    """A decimal number times 10 ** shift; gathered below zero, where int64 reaches one further.

    Digits that do not fit are dropped from the end: that any was not 0 is all that counts of them.
    """
    negative = at < end and data[at] == MINUS
    at += at < end and data[at] in (PLUS, MINUS)
    value, digits, places, pointed, full, lost = 0, 0, 0, False, False, False
    while at < end and (ZERO <= data[at] <= NINE or (data[at] == POINT and not pointed)):
        if data[at] == POINT:
            pointed = True
        else:
            digit = int(data[at]) - ZERO
            digits += 1
            full = bool(full or value < TENTH or (value == TENTH and digit > 8))
            if full and not pointed:
                return False, 0, at
            lost = bool(lost or (full and digit != 0))
            if not full:
                value = value * 10 - digit
                places += pointed
        at += 1
    if digits == 0:
        return False, 0, at
    power = shift - places
    if at < end and data[at] in (SMALL_E, LARGE_E):
        exponent, at = _exponent(data, at + 1, end)
        power += exponent
    while power < -MOST_PLACES and value != 0:
        lost = bool(lost or value % 10 != 0)
        value = value // 10 + (value % 10 != 0)  # towards zero
        power += 1
    if lost and (shift == 0 or power >= 0):  # not whole, or not to be rounded
        return False, 0, at
    while power > 0 and value != 0:
        if value < TENTH:
            return False, 0, at
        value *= 10
        power -= 1
    if power < 0:
        scale = 10**-power if value else 1
        below = value // scale
        rest = value - below * scale
        if rest and shift == 0:
            return False, 0, at
        value = below + (2 * rest > scale)
    if value == LEAST and not negative:
        return False, 0, at
    return True, value if negative else -value, at


@njit(cache=True)
def _exponent(data: np.ndarray, at: int, end: int) -> tuple[int, int]:
    negative = at < end and data[at] == MINUS
    at += at < end and data[at] in (PLUS, MINUS)
    value = 0
    while at < end and ZERO <= data[at] <= NINE:
        value = min(value * 10 + int(data[at]) - ZERO, LARGEST)
        at += 1
    return -value if negative else value, at


@njit(cache=True)
def format_rows(columns: np.ndarray, text: np.ndarray) -> int:
    """Write int64 [N, K] as lines of numbers with commas between into uint8 [at least 21 N K]; gives the length."""
    at = 0
    for row in columns:
        for column, value in enumerate(row):
            if column:
                text[at] = COMMA
                at += 1
            if value < 0:
                text[at] = MINUS
                at += 1
            rest = value if value < 0 else -value
            first = at
            while rest or at == first:  # the last digit first
                tens = rest // 10 + (rest % 10 != 0)  # towards zero
                text[at] = ZERO + tens * 10 - rest
                rest = tens
                at += 1
            last = at - 1
            while first < last:
                text[first], text[last] = text[last], text[first]
                first, last = first + 1, last - 1
        text[at] = NEWLINE
        at += 1
    return at
