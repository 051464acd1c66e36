"""What is kept or printed of foreign text holds no keys."""

from __future__ import annotations

import pytest

from raymimic.foreign import without_secrets


@pytest.mark.parametrize(
    "secret",
    [
        "sk-ant-0123456789",
        "AIzaSyA0123456789abcdefghijklmnopqrs",
        "ghp_0123456789abcdefghijABCDEFGHIJ012345",
        "github_pat_0123456789abcdef",
        "hf_0123456789abcdefghij",
        "xoxb-0123456789-abc",
        "AKIA0123456789ABCDEF",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0abc.c2lnbmF0dXJl",
    ],
)
def test_keys_of_many_kinds_are_cut(secret):
    assert without_secrets(f"failed with {secret} at last") == "failed with [key] at last"


def test_passwords_in_addresses_and_assigned_secrets_are_cut():
    text = "postgres://me:hunter22@db/x MY_TOKEN=abcd1234 {'DB_PASSWORD': 'hunter22', 'a': 1}"
    cut = without_secrets(text)
    assert cut == "postgres://me:[key]@db/x MY_TOKEN=[key] {'DB_PASSWORD': '[key]', 'a': 1}"
    plain = "at http://host:8000/v1 the num_tokens = 4000 and lr=0.001 failed: key error 'a_key'"
    assert without_secrets(plain) == plain
