from __future__ import annotations

import pytest

from profiles import identity
from profiles.identity import UnusableIdentifier, clean_id, normalise, normalise_email, normalise_phone
from profiles.models import IdentityNamespace


def test_the_namespaces_have_the_numbers_of_their_rows() -> None:
    for name in ("USER_ID", "ANONYMOUS_ID", "EMAIL", "PHONE"):
        assert getattr(identity, name) == getattr(IdentityNamespace, name)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("ada", "ada"),
        ("  Ada ", "Ada"),
        ("jose\u0301", "jos\u00e9"),
        ("0", "0"),
        ("", None),
        (None, None),
        (" \t\u00a0", None),
        ("UNDEFINED", None),
        ("[object Object]", None),
        ("x" * 255, "x" * 255),
    ],
)
def test_ids(given: str | None, kept: str | None) -> None:
    assert clean_id(given) == kept


def test_an_id_that_is_too_long_is_said() -> None:
    with pytest.raises(UnusableIdentifier, match="256 characters"):
        clean_id("x" * 256)
    assert normalise(identity.USER_ID, "x" * 256) is None


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (" Ada@Example.COM ", "ada@example.com"),
        ("ada+x@mail.example.co.uk", "ada+x@mail.example.co.uk"),
        ("jose\u0301@example.com", "jos\u00e9@example.com"),
        ("ada@localhost", None),
        ("ada", None),
        ("a@b@example.com", None),
        ("ada@exam ple.com", None),
        ("Ada <ada@example.com>", None),
        ("a@example.com\nBcc: b@example.com", None),
        ("x" * 65 + "@example.com", None),
        ("", None),
    ],
)
def test_emails(given: str, kept: str | None) -> None:
    assert normalise_email(given) == kept


@pytest.mark.parametrize(
    ("given", "region", "kept"),
    [
        ("+49 (0)151 1234-5678", None, "+4915112345678"),
        ("0151 12345678", "DE", "+4915112345678"),
        ("0151 12345678", None, None),
        ("0151 12345678", "XX", None),
        ("+1 650 253 0000", "DE", "+16502530000"),
        ("+49 1", None, None),
        ("call me", None, None),
        ("", None, None),
    ],
)
def test_phones(given: str, region: str | None, kept: str | None) -> None:
    assert normalise_phone(given, region) == kept
