"""Phone numbers, grouped as a phone shows them."""

from __future__ import annotations

import random

import phonenumbers
from playwright.sync_api import Page

from tests.system.browser.conftest import OpenPage
from tests.system.browser.fakes import Site

NUMBERS = {
    "34600111222": "+34 600 111 222",
    "+34 600-111-222": "+34 600 111 222",
    "12025550123": "+1 202 555 0123",
    "447700900123": "+44 770 090 0123",
    "525512345678": "+52 55 1234 5678",
    "522221234567": "+52 222 123 4567",
    "541112345678": "+54 11 1234-5678",
    "543511234567": "+54 351 123-4567",
    "542901123456": "+54 2901 12-3456",
    "59899123456": "+598 991 234 56",
    "35312345": "+353 123 45",
    "": "",
    # 13 digits
    "5511912345678": "+55 11 91234-5678",
    "5491112345678": "+54 9 11 1234-5678",
    "5493511234567": "+54 9 351 123-4567",
    "5492901123456": "+54 9 2901 12-3456",
    "5215512345678": "+52 1 55 1234 5678",
    "5212221234567": "+52 1 222 123 4567",
    "8613812345678": "+86 138 1234 5678",
    "2348031234567": "+234 803 123 4567",
    "6281234567890": "+62 812-3456-7890",
    "4915123456789": "+49 1512 3456789",
    "4917612345678": "+49 176 12345678",
    "4366412345678": "+43 664 12345678",
    "2250712345678": "+225 07 12 34 5678",
    "2290195123456": "+229 01 95 12 34 56",
    "8801812345678": "+880 1812-345678",
    "9779841234567": "+977 984-1234567",
    "9647912345678": "+964 791 234 5678",
    "8562023123456": "+856 20 23 123 456",
    # an old number of Brazil, without the ninth digit, as WhatsApp still has some
    "553112345678": "+55 31 1234-5678",
    # no country has these
    "3312345678901": "+33 123 4567 8901",
    "999123456789012": "+999 123 456 789 012",
}

# Beginnings of mobile numbers with 13 digits.
BEGINNINGS = ["55119", "55219", "54911", "549221", "549351", "5492901", "86138", "86199", "234803", "234901", "62812",
              "49151", "49176", "43664", "22507", "22901", "8801", "9779", "85620"]  # fmt: skip

SHORTER = [
    "5255",
    "5233",
    "5281",
    "52222",
    "52998",
    "5411",
    "54221",
    "54351",
    "542901",
]  # mobile numbers with 12 digits


def shown(page: Page, numbers: list[str]) -> list[str]:
    """The numbers as the page shows them."""
    texts: list[str] = page.evaluate(
        """async (numbers) => {
          const { phoneNumber } = await import("/home/settings/whatsapp/format.js");
          return numbers.map(phoneNumber);
        }""",
        numbers,
    )
    return texts


def test_known_phone_numbers_are_grouped(site: Site, open_page: OpenPage) -> None:
    page = open_page(site.url)
    assert dict(zip(NUMBERS, shown(page, list(NUMBERS)), strict=True)) == NUMBERS


def test_long_numbers_are_grouped_as_libphonenumber_does(site: Site, open_page: OpenPage) -> None:
    """Phones use libphonenumber. Its tables are too large for the page."""
    chance = random.Random(1)
    twelve = [start + "".join(chance.choices("123456789", k=12 - len(start))) for start in SHORTER for _ in range(40)]
    begun = twelve + [
        start + "".join(chance.choices("123456789", k=13 - len(start))) for start in BEGINNINGS for _ in range(20)
    ]
    parsed = {number: phonenumbers.parse(f"+{number}") for number in begun}
    known = [number for number in begun if phonenumbers.is_valid_number(parsed[number])]
    assert len(known) > 200
    international = phonenumbers.PhoneNumberFormat.INTERNATIONAL
    expected = [phonenumbers.format_number(parsed[number], international) for number in known]
    assert shown(open_page(site.url), known) == expected


def test_every_country_s_longest_number_is_readable(site: Site, open_page: OpenPage) -> None:
    """Each group has two to eight digits."""
    numbers = [str(code) + "2345678901234"[: 13 - len(str(code))] for code in phonenumbers.COUNTRY_CODE_TO_REGION_CODE]
    for number, text in zip(numbers, shown(open_page(site.url), numbers), strict=True):
        groups = text.replace("-", " ").split()
        assert "".join(groups).strip("+") == number
        assert all(2 <= len(group) <= 8 for group in groups[2:]), text
