"""API keys as text: 131 bits that nobody can guess, and a checksum that tells a made-up one without asking anybody."""

from __future__ import annotations

import hashlib
import math
import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimit.keys import KeyScope, VerifiedKey, fault_of, hash_of, new_key, prefix_of

ALPHABET = string.digits + string.ascii_letters
KEY = "shk_0123456789ABCDEFGHIJKLMNOPQRST4PMbyp"


def test_a_new_key_has_the_announced_shape() -> None:
    assert re.fullmatch(r"shk_[0-9A-Za-z]{30}[0-9A-Za-z]{6}", new_key())


def test_what_is_not_shown_of_a_key_has_128_bits_and_more() -> None:
    hidden = len(new_key()) - len("shk_") - len(prefix_of(new_key())) - 6
    assert hidden * math.log2(62) >= 128


def test_no_two_keys_are_equal() -> None:
    assert len({new_key() for _ in range(1000)}) == 1000


def test_a_new_key_has_no_fault() -> None:
    assert {fault_of(new_key()) for _ in range(1000)} == {""}


def test_the_checksum_is_the_crc_32_of_the_random_characters_in_base_62() -> None:
    assert fault_of(KEY) == ""


def test_keys_of_22_to_64_random_characters_are_recognised() -> None:
    faults = [fault_of(f"shk_{'a' * length}000000") for length in (21, 22, 64, 65)]
    assert faults == ["malformed", "checksum", "checksum", "malformed"]


@given(st.integers(4, len(KEY) - 1), st.sampled_from(ALPHABET))
def test_one_wrong_character_is_noticed(place: int, character: str) -> None:
    mistyped = KEY[:place] + character + KEY[place + 1 :]
    assert fault_of(mistyped) == ("" if mistyped == KEY else "checksum")


@given(st.integers(4, len(KEY) - 2))
def test_two_characters_exchanged_are_noticed(place: int) -> None:
    exchanged = KEY[:place] + KEY[place + 1] + KEY[place] + KEY[place + 2 :]
    assert fault_of(exchanged) == ("" if exchanged == KEY else "checksum")


@pytest.mark.parametrize(
    "text",
    ["", "shk_", KEY.upper(), f" {KEY}", f"{KEY}\n", f"{KEY}\x00", KEY.replace("0", "０"), KEY * 200, "\x00" * 8192],
)
def test_what_has_not_the_shape_is_malformed(text: str) -> None:
    assert fault_of(text) == "malformed"


@given(st.text(max_size=200))
def test_no_text_makes_it_raise(text: str) -> None:
    assert fault_of(text) in {"malformed", "checksum", ""}


def test_a_key_is_remembered_by_its_sha_256_and_shown_by_eight_characters() -> None:
    assert hash_of(KEY) == hashlib.sha256(KEY.encode()).hexdigest()
    assert prefix_of(KEY) == "01234567"


def test_who_may_write_may_read() -> None:
    assert KeyScope.WRITE.included == {"read", "write"}
    assert KeyScope.READ.included == {"read"}


def test_a_verified_key_says_what_it_allows() -> None:
    key = VerifiedKey(1, "a key", "01234567", KeyScope.READ.included, None)
    assert key.allows("read")
    assert not key.allows("write")
