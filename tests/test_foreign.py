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
        "gsk_0123456789abcdefghij",
        "xai-0123456789abcdefghij",
        "r8_0123456789abcdefghij",
        "sk_live_0123456789abcdefghij",
        "SG.0123456789abcdef.0123456789",
        "npm_0123456789abcdefghij",
        "pypi-0123456789abcdefghij",
        "SK0123456789abcdef0123456789abcdef",
        "123456789:AAabcdefghijklmnopqrstu",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIE\nab==\n-----END RSA PRIVATE KEY-----",
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


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("x-api-key: abcdef1234", "x-api-key: [key]"),
        ('{"api_key": "abcdef1234"}', '{"api_key": "[key]"}'),
        ("apiKey=abcdef1234 lr=0.1", "apiKey=[key] lr=0.1"),
        ("aws_secret_access_key = wJalrXUt/K7", "aws_secret_access_key = [key]"),
        ("Authorization: Basic dXNlcjpwYXNz", "[key]"),
        ("password=hunter22", "password=[key]"),
        ("client_secret: 'abcdef1234'", "client_secret: '[key]'"),
        ("https://h/x?api_key=abc&b=1&sig=d%3D", "https://h/x?api_key=[key]&b=1&sig=[key]"),
        ("https://ghtoken1234@github.com/x", "https://[key]@github.com/x"),
    ],
)
def test_what_is_set_under_a_secrets_name_is_cut(text, cut):
    assert without_secrets(text) == cut


@pytest.mark.parametrize(
    "text",
    [
        "max_tokens=4096 n_tokens: 1234567 val_token_accuracy: 0.53 tokenizer=bert-base-uncased",
        "/home/u/sk-learn/data.csv at commit 0123456789abcdef0123456789abcdef01234567",
        "password must be set; primary_key: id; net.secret_dim=128; basic statistics",
    ],
)
def test_ordinary_words_stay(text):
    assert without_secrets(text) == text
