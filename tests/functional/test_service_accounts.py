"""Service accounts: who signs its tokens itself, as VMware's command does."""

import base64
import json
import subprocess
import time

import pytest
from lib.jwt import Signer
from lib.stack import ROOT
from lib.wait import eventually

ACCOUNTS = "/v1/iam/serviceaccount"


def public(signer: Signer) -> str:
    return base64.b64encode(signer.public.encode()).decode()


@pytest.fixture
def account(org, name, tmp_path):
    """account(actions) -> the name of one with a policy, and what signs its tokens."""

    def make(*actions: str, algorithm: str = "RS256", **fields) -> tuple[str, Signer]:
        called, signer = name("svc"), Signer(tmp_path, algorithm)
        made = org.post(ACCOUNTS, {"name": called, "publicKey": public(signer), **fields}, expect=201)
        assert made.json()["domain"] == "svc.dispatch.local"
        if actions:
            rule = {"subjects": [called], "actions": list(actions), "resources": ["*"]}
            org.post("/v1/iam/policy", {"name": called, "rules": [rule]}, expect=201)
        return called, signer

    return make


def as_account(org, called: str, signer: Signer, **claims):
    now = int(time.time())
    claims = {"iss": f"{org.org_name}/{called}", "iat": now - 60, "exp": now + 3600, **claims}
    return org.with_key(signer.token(**claims))


@pytest.mark.parametrize("algorithm", ["RS256", "RS384", "RS512", "ES256", "ES384", "EdDSA"])
def test_a_signed_token_may_what_policies_say(org, account, name, algorithm):
    called, signer = account("read", algorithm=algorithm)
    client = as_account(org, called, signer)
    assert client.get("/v1/topics", expect=200).json()
    denied = client.post("/v1/topics", {"name": name("t")}, expect=403)
    assert "may not write" in denied.json()["message"]
    as_account(org, called, Signer(signer.file.parent, algorithm)).get("/v1/topics", expect=401)


def test_tokens_end_and_accounts_go_at_once(org, account):
    called, signer = account("read")
    now = int(time.time())
    for bad in ({"exp": now - 120}, {"exp": now + 90_000}, {"iss": f"{org.org_name}/nobody"}):
        answer = as_account(org, called, signer, **bad).get("/v1/topics", expect=401)
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    client = as_account(org, called, signer)
    client.get("/v1/topics", expect=200)
    shown = org.get(f"{ACCOUNTS}/{called}", expect=200).json()
    assert shown["publicKey"] == public(signer)
    assert shown in org.get(ACCOUNTS, expect=200).json()
    assert org.delete(f"{ACCOUNTS}/{called}", expect=200).json()["name"] == called
    client.get("/v1/topics", expect=401)


def test_keys_are_rotated_with_both_for_a_while(org, account, tmp_path):
    called, old = account("read")
    new = Signer(tmp_path, "EdDSA")
    both = base64.b64encode((old.public + new.public).encode()).decode()
    org.put(f"{ACCOUNTS}/{called}", {"name": called, "publicKey": both}, expect=200)
    for signer in (old, new):
        as_account(org, called, signer).get("/v1/topics", expect=200)
    org.put(f"{ACCOUNTS}/{called}", {"name": called, "publicKey": public(new)}, expect=200)
    as_account(org, called, old).get("/v1/topics", expect=401)
    as_account(org, called, new).get("/v1/topics", expect=200)


def test_an_audience_is_asked_for_where_the_account_has_one(org, account):
    called, signer = account("read", audience="dispatch.example.com")
    as_account(org, called, signer).get("/v1/topics", expect=401)
    as_account(org, called, signer, aud="dispatch.example.com").get("/v1/topics", expect=200)


def test_no_account_reaches_across_organisations(org, admin, account):
    called, signer = account("admin")
    client = as_account(org, called, signer)
    client.in_org("default").get("/v1/topics", expect=403)
    client.post("/v1/iam/organization", {"name": "x-" + called}, expect=403)
    client.post("/v1/iam/keys", {"name": called, "scopes": ["admin"], "global": True}, expect=403)


def test_faults_name_the_field(org, name):
    refused = org.post(ACCOUNTS, {"name": name("x"), "publicKey": "!"}, expect=422).json()
    assert refused["details"][0]["field"] == "publicKey"


def test_bootstrap_makes_an_account_that_the_command_uses(stack, name, tmp_path):
    called = name("boot").lower()
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}

    def dispatch(*words: str) -> str:
        done = subprocess.run(
            [ROOT / "build" / "release" / "bin" / "dispatch", *words],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    where = ("--host", stack.api_url, "--token", stack.admin_key)
    said = dispatch(*where, "manage", "bootstrap", "--bootstrap-org", called)
    assert f"Created organization: {called}\n" in said
    assert "Created serviceaccount: default-svc\n" in said and f"Using context: {called}" in said
    config = json.loads((tmp_path / ".dispatch" / "config.json").read_text())
    assert config["contexts"][called]["serviceaccount"] == "default-svc"
    assert "token" not in config["contexts"][called]
    # From here on with the account's own tokens.
    eventually(lambda: "default" in dispatch("get", "topics"), "it may read")
    assert dispatch("create", "topic", "orders").startswith("Created topic: orders")
    assert "default-svc" in dispatch("iam", "get", "serviceaccount")
    # Again: a new key, all else stays.
    assert "Kept serviceaccount" in dispatch(
        *where, "manage", "bootstrap", "--bootstrap-org", called
    )
    assert "orders" in dispatch("get", "topics")
