"""Whose key goes where: to the host that it belongs to, whole and never shown; and no host of one's own needs one."""

from __future__ import annotations

import pytest

from harness.chat.client import ChatClient
from harness.chat.endpoint import is_private, names_deployment, parse_endpoint
from harness.chat.keys import NO_KEY, check_environment, check_proxy, key_for, proxy_for
from harness.chat.request import Caller, ChatRequest
from harness.chat.settings import ChatSettings
from harness.errors import UsageError
from harness.protocols.conversation import question
from tests.harness.fault_server import FaultServer, http

JUDGE = Caller("judge", "--judge openai:m", "judge.")
OPENAI = "https://api.openai.com/v1"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.mark.parametrize(
    ("url", "variable", "sent"),
    [
        (OPENAI, "", "sk-openai"),
        ("http://127.0.0.1:8000/v1", "", NO_KEY),
        ("http://10.1.2.3:8000/v1", "", NO_KEY),
        ("http://vllm:8000/v1", "", NO_KEY),
        ("https://vllm.example.org/v1", "HOSTED", "hosted"),
        ("http://127.0.0.1:8000/v1", "OPENAI_API_KEY", "sk-openai"),
        (OPENAI, "none", NO_KEY),
    ],
)
def test_a_key_goes_to_its_own_host_or_where_it_is_named(
    url: str, variable: str, sent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai\r\n")
    monkeypatch.setenv("HOSTED", " hosted ")
    assert key_for(url, variable, JUDGE) == sent


@pytest.mark.parametrize("url", ["https://vllm.example.org/v1", "http://api.openai.com/v1", "http://8.8.8.8/v1"])
def test_a_key_is_sent_to_no_host_that_it_was_not_given_for(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai")
    with pytest.raises(UsageError, match=r"api\.openai\.com and is sent nowhere else.*--set judge\.api_key_env=NAME"):
        key_for(url, "", JUDGE)
    monkeypatch.setenv("OPENAI_BASE_URL", url)
    assert key_for(url, "", JUDGE) == "sk-openai", "the key of a base URL that is named beside it"
    with pytest.raises(UsageError, match="sent nowhere else"):
        key_for(OPENAI, "", JUDGE)


@pytest.mark.parametrize("key", ["“sk-SECRET”", '"sk-SECRET"', "'sk-SECRET'", "sk-SEC\tRET", "sk-SEC RET"])
def test_a_key_that_cannot_be_sent_is_refused_and_not_shown(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOSTED", key)
    with pytest.raises(UsageError, match="the key in HOSTED") as caught:
        key_for("https://example.org/v1", "HOSTED", JUDGE)
    assert "SEC" not in str(caught.value)
    with pytest.raises(UsageError, match=r"judge\.api_key_env=ABSENT: there is no such environment variable"):
        key_for("https://example.org/v1", "ABSENT", JUDGE)


def test_an_endpoint_that_wants_a_key_after_all_says_how_and_one_that_repeats_it_is_not_quoted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOSTED", "sk-SECRET")
    asked = [ChatRequest((question("q"),))]
    with FaultServer(lambda prompt, nth: http(401, b'{"error": {"message": "wrong key sk-SECRET"}}')) as server:
        ((_, without),) = ChatClient("m", server.url, JUDGE, ChatSettings()).ask(asked)
        ((_, wrong),) = ChatClient("m", server.url, JUDGE, ChatSettings(api_key_env="HOSTED")).ask(asked)
    assert (without.error or "").endswith("name the variable that holds its key with --set judge.api_key_env=NAME")
    assert wrong.error == "HTTP 401: wrong key ***"
    assert [b"Bearer sk-SECRET" in head for head in server.headers] == [False, True]


@pytest.mark.parametrize(
    ("url", "private"),
    [
        ("http://[::1]:8000/v1", True),
        ("http://192.168.1.2/v1", True),
        ("http://100.64.0.1/v1", True),
        ("http://box.local:1/v1", True),
        ("http://gpu7:8000/v1", True),
        ("http://8.8.8.8/v1", False),
        ("http://example.org/v1", False),
    ],
)
def test_a_private_host_is_known_by_its_address_or_the_form_of_its_name(url: str, private: bool) -> None:
    assert is_private(url) is private


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("https://a.openai.azure.com/openai/v1?api-version=1", "it has a query.*/openai/v1"),
        ("https://a.openai.azure.com/openai/deployments/x?api-version=1&api-key=SECRET", "it has a query"),
        ("https://me:SECRET@example.org/v1", "a key or password does not belong into a URL"),
        ("https://example.org/v1/chat/completions", "leave that out"),
        ("https://example.org/v1?api_key=SECRET", "it has a query"),
        ("https://example.org/v1#SECRET", "it has a query"),
        ("example.org:8000/v1?api_key=SECRET", "expected openai:NAME"),
        ("https://example.org/v1 ", "it has a blank"),
        ("https://example.org /v1", "it has a blank"),
    ],
)
def test_a_url_that_no_path_can_follow_or_that_holds_a_secret_is_refused(url: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason) as caught:
        parse_endpoint(f"m@{url}", "--judge")
    assert "SECRET" not in str(caught.value)


def test_a_base_url_of_the_environment_that_cannot_be_one_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", f"{OPENAI}/chat/completions")  # as other projects want theirs
    with pytest.raises(UsageError, match=r"completions' of OPENAI_BASE_URL: /chat/completions is added to it"):
        parse_endpoint("m", "--judge")


def test_a_name_with_a_blank_beside_it_is_another_name_and_is_refused() -> None:
    with pytest.raises(UsageError, match="the name has a blank beside it"):
        parse_endpoint("m @https://example.org/v1", "--judge")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("HTTPS_PROXY", "http://proxy:port"),
        ("HTTPS_PROXY", "proxy:99999"),
        ("SSL_CERT_FILE", "/nowhere/ca.pem"),
        ("SSL_CERT_FILE", __file__),
        ("OPENAI_ORG_ID", "“org”"),
        ("OPENAI_PROJECT_ID", "project\n"),
        ("OPENAI_CUSTOM_HEADERS", "X-Team: “vision”"),
    ],
)
def test_an_environment_that_cannot_be_used_is_one_line(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ALL_PROXY", "all_proxy", "https_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, value)
    with pytest.raises(UsageError, match="PROXY" if "PROXY" in variable else variable):
        check_environment("https://example.org/v1", JUDGE)


def test_a_proxy_that_cannot_be_used_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    monkeypatch.setattr("harness.chat.keys.importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"SOCKS proxy .*pip install socksio"):
        check_proxy("https://example.org/v1", JUDGE)
    check_proxy("http://127.0.0.1:8000/v1", JUDGE)
    monkeypatch.setenv("NO_PROXY", "example.org")
    check_proxy("https://example.org/v1", JUDGE)


def test_proxies_for_others_are_left_alone_and_no_proxy_is_heeded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server at 0.0.0.0 is on this machine and not at its loopback's address: it could have a proxy."""
    socks = "socks5://127.0.0.1:9"  # the package for it is not installed, and nothing listens there
    for named in (
        {"HTTPS_PROXY": socks},
        {"ALL_PROXY": socks, "NO_PROXY": "0.0.0.0"},
        {"ALL_PROXY": socks, "NO_PROXY": "10.1.2.3, 0.0.0.0/8"},
        {"HTTP_PROXY": "x", "NO_PROXY": "*"},
        {"HTTP_PROXY": "x", "NO_PROXY": "example.org,*"},
    ):
        with monkeypatch.context() as environment, FaultServer(lambda prompt, nth: "yes") as server:
            for name, value in named.items():
                environment.setenv(name, value)
            url = server.url.replace("127.0.0.1", "0.0.0.0")
            ((_, reply),) = ChatClient("judge", url, JUDGE, ChatSettings(tries=1)).ask([ChatRequest((question("q"),))])
        assert (reply.text, reply.error) == ("yes", None), named


@pytest.mark.parametrize(
    ("left_out", "url", "direct"),
    [
        ("10.0.0.0/8", "http://10.1.2.3:8000/v1", True),
        ("10.0.0.0/8", "http://11.1.2.3:8000/v1", False),
        ("10.0.0.0/33", "http://10.1.2.3:8000/v1", False),
        ("fd00::/8", "http://[fd00::1]:8000/v1", True),
        ("fd00::/8", "http://10.1.2.3:8000/v1", False),
        ("*.Example.org", "http://vllm.example.org/v1", True),
        ("*.example.org", "http://vllm-example.org/v1", False),
        ("other.org:8000", "http://other.org:8000/v1", True),
        ("other.org:8000", "http://other.org:8001/v1", False),
    ],
)
def test_no_proxy_is_read_as_the_http_client_reads_it(
    left_out: str, url: str, direct: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of servers in the own network clusters know the network alone; a proxy outside of it has no way to them."""
    import httpx2

    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", f"elsewhere.org, {left_out}")
    assert proxy_for(url) == ("" if direct else "http://127.0.0.1:9")
    client = httpx2.Client()
    assert (client._transport_for_url(httpx2.URL(url)) is client._transport) is direct


def test_a_call_goes_through_the_proxy_of_its_scheme(monkeypatch: pytest.MonkeyPatch) -> None:
    with FaultServer(lambda prompt, nth: "yes") as proxy:
        monkeypatch.setenv("http_proxy", proxy.url.removeprefix("http://").removesuffix("/v1"))
        client = ChatClient("judge", "http://10.255.255.1:8000/v1", JUDGE, ChatSettings(tries=1))
        ((_, reply),) = client.ask([ChatRequest((question("q"),))])
    assert reply.text == "yes" and proxy.headers[0].startswith(b"POST http://10.255.255.1:8000/v1/chat/completions")


@pytest.mark.parametrize(
    ("name", "url", "deployment"),
    [
        ("my-4o", "https://a.openai.azure.com/openai/v1", True),
        ("my-4o", "https://a.openai.azure.com/openai/deployments/my-4o?api-version=1", True),
        ("gpt-4o", "https://a.openai.azure.com/openai/deployments/my-4o?api-version=1", False),
        ("my-4o", "https://gateway.example.org/openai/deployments/my-4o?api-version=1", True),
        ("my-4o", "https://api.openai.com/v1", False),
        ("my-4o", "https://openai.azure.com.example.org/v1", False),
    ],
)
def test_a_deployment_of_azure_is_known_by_its_url(name: str, url: str, deployment: bool) -> None:
    assert names_deployment(name, url) is deployment
