"""The runner accepts what the template's parameters allow. It refuses values that would fail later, and names them."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.template.errors import TemplateError
from infra.template.reading import read_template
from infra.template.stack_definition import StackDefinition
from tests.support.stack import ROOT

LIMITED = """
Parameters:
  Name: {Type: String, Default: "", AllowedPattern: "[a-z]+", ConstraintDescription: small letters}
  Size: {Type: String, Default: s, AllowedValues: [s, m]}
  Short: {Type: String, Default: "", MaxLength: 3}
  Count: {Type: Number, Default: 5, MinValue: 2, MaxValue: 9}
  Hosts: {Type: CommaDelimitedList, Default: "", AllowedPattern: "[a-z]+"}
Resources: {}
"""


def limited(folder: Path, given: dict[str, str]) -> StackDefinition:
    (folder / "template.yaml").write_text(LIMITED)
    return read_template(folder / "template.yaml", given)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("Name", "a1", "parameter Name does not take 'a1': small letters"),
        ("Name", "", "small letters"),
        ("Size", "l", "parameter Size does not take 'l': one of s, m"),
        ("Short", "abcd", "0 to 3 characters"),
        ("Count", "1", "2 or more"),
        ("Count", "10", "9 or less"),
        ("Count", "many", "a number"),
        ("Count", "", "a number"),
        ("Hosts", "a,,b", "parameter Hosts does not take '': it must match [a-z]+"),
        ("Hosts", "a,B", "does not take 'B'"),
        ("Hosts", "", "does not take ''"),
    ],
)
def test_a_value_that_a_parameter_does_not_allow_is_named(tmp_path: Path, name: str, value: str, words: str) -> None:
    with pytest.raises(TemplateError) as caught:
        limited(tmp_path, {name: value})
    assert words in str(caught.value)


def test_a_value_that_a_parameter_allows_is_accepted(tmp_path: Path) -> None:
    stack = limited(tmp_path, {"Name": "abc", "Size": "m", "Short": "abc", "Count": "9", "Hosts": "a, b"})
    assert stack.parameters == {"Name": "abc", "Size": "m", "Short": "abc", "Count": "9", "Hosts": ["a", "b"]}


WANTED = {"SupabaseUrl": "https://abcd.supabase.co", "AllowedOrigins": "https://app.example.com"}


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("AllowedOrigins", "https://app.example.com,http://localhost:5173, http://127.0.0.1:3000"),
        ("AllowedOrigins", "*"),
        ("AllowedOrigins", "https://*"),
        ("AllowedOrigins", "https://xn--mnchen-3ya.example"),
        ("AllowedOrigins", "http://[::1]:5173"),
        ("AllowedOrigins", "http://app.example.com:443"),
        ("SupabaseUrl", "http://127.0.0.1:54321"),
        ("SupabaseUrl", "https://auth.example.com"),
        ("AcceptedIssuers", ""),
        ("AcceptedIssuers", "https://abcd.supabase.co/auth/v1"),
        ("AcceptedIssuers", " https://abcd.supabase.co/auth/v1/ , http://[::1]:8000,https://a.example:8443/Realm_1 "),
        ("AcceptedIssuers", "http://app.example.com:443/auth/v1,https://app.example.com:80,https://a.example:4430"),
        ("FrameAncestors", "none"),
        ("FrameAncestors", "self"),
        ("FrameAncestors", "'self' https://*.example.com"),
        ("FrameAncestors", "https://a.example https://b.example:8443"),
        ("DatabaseSecretName", "whatsapp-pairing-dev/database"),
        ("LegacyJwtSecretName", ""),
        ("LegacyJwtSecretName", "legacy/jwt"),
        ("SupabaseAnonKey", ""),
        ("SupabaseAnonKey", "eyJhbGciOiJIUzI1NiJ9.e30.x-_x"),
        ("SupabaseAnonKey", "sb_publishable_abc"),
        ("RequiredAssuranceLevel", "none"),
        ("RequiredAssuranceLevel", "aal2"),
        ("AlarmTopicArn", ""),
        ("AlarmTopicArn", "arn:aws-cn:sns:cn-north-1:123456789012:alarms.fifo"),
    ],
)
def test_our_parameters_accept_working_values(name: str, good: str) -> None:
    assert read_template(ROOT / "template.yaml", WANTED | {name: good}).functions


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        *(("AllowedOrigins", bad) for bad in (
            "", ",", "https://a.example,", "https://a.example,,https://b.example", "https://app.example.com/",
            "app.example.com", "localhost:5173", "//app.example.com", "https://App.example.com", "HTTPS://app.example.com",
            "https://app.example.com/path", "https://app.example.com:443", "http://app.example.com:80",
            "https://app.example.com:", "https://münchen.example", "https://*.example.com", "https://a b.example",
            "https://me@app.example.com", "https://app.example.com?x=1", "https://app.example.com#x", "null", "https://",
            "https:app.example.com", "'https://app.example.com'", "https://a.example https://b.example",
            "https://a.example;https://b.example", "https://app.example.com.", "ftp://app.example.com", "**",
        )),
        *(("SupabaseUrl", bad) for bad in (
            "", "abcd.supabase.co", "https://abcd.supabase.co/", "https://abcd.supabase.co/auth/v1",
            "https://ABCD.supabase.co", "https://abcd.supabase.co:443", "https://YOUR-PROJECT.supabase.co",
            "https://abcd.supabase.co?x", "https://me:x@abcd.supabase.co", "https://supabase.com/dashboard/project/abcd",
            "postgresql://postgres@db.abcd.supabase.co/postgres", "https://abcd .supabase.co", "'https://abcd.supabase.co'",
        )),
        *(("AcceptedIssuers", bad) for bad in (
            "https://ABCD.supabase.co/auth/v1", "HTTPS://abcd.supabase.co/auth/v1", "https://abcd.supabase.co:443/auth/v1",
            "https://abcd.supabase.co:443", "http://a.example:80/auth/v1", "https://abcd.supabase.co/auth/v1?x=1",
            "https://abcd.supabase.co/auth/v1#x", "https://me:x@abcd.supabase.co/auth/v1", "https://a.example:/auth/v1",
            "https://a.example//auth/v1", "https://a.example:0", "https://münchen.example", "https://", "https:///auth/v1",
            "https://a.example/auth/v1;https://b.example", "'https://a.example/auth/v1'", "https://a.example\n",
            "https://a.example.", "https://*.example.com", "https://a.example,https://B.example",
            "https://a.example,https://b.example:443/x", "https://a.example, ,https://b.example", ",", " ,",
        )),
        *(("FrameAncestors", bad) for bad in (
            "", "None", "self https://a.example", "https://a.example/", "https://a.example,https://b.example",
            "a.example", "https://A.example", "https://a.example; script-src *", "*", "https://a.example/path",
        )),
        *(("DatabaseSecretName", bad) for bad in (
            "", "whatsapp-pairing/database/", "whatsapp-pairing/database/api", "/database", "a b", "a//b",
            "arn:aws:secretsmanager:eu-west-1:123456789012:secret:database-AbCdEf", "postgresql://me@h/d",
        )),
        *(("LegacyJwtSecretName", bad) for bad in (
            "arn:aws:secretsmanager:eu-west-1:123456789012:secret:jwt-AbCdEf", "legacy/", '{"secret": "x"}', "a b",
        )),
        *(("SupabaseAnonKey", bad) for bad in ("sb_secret_abc", '"eyJ.e30.x"', "eyJ e30", "eyJ.e30.x\n")),
        *(("AlarmTopicArn", bad) for bad in ("YOUR-SNS-TOPIC-ARN", "alarms", "arn:aws:sqs:eu-west-1:123456789012:q")),
        *(("RequiredAssuranceLevel", bad) for bad in ("", "AAL2", "aal1", "aal3", "true", "2", "None", "aal2\n")),
        ("LogKmsKeyArn", "arn:aws:kms:eu-west-1:123456789012:alias/x"), ("Architecture", "amd64"), ("Tracing", "true"),
        ("ProbeEnabled", "True"), ("LogRetentionDays", "31"), ("MaxLivePairings", "0"), ("MaxLivePairings", "seven"),
        ("AttemptRetentionDays", "0"),
        ("QrTimeoutSeconds", "151"), ("QrTimeoutSeconds", "14"), ("AuthTimeoutSeconds", "0"), ("ApiRate", "-1"),
    ],
)  # fmt: skip
def test_our_parameters_refuse_values_that_would_not_work(name: str, bad: str) -> None:
    with pytest.raises(TemplateError, match=f"parameter {name} does not take"):
        read_template(ROOT / "template.yaml", WANTED | {name: bad})
