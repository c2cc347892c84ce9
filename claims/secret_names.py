"""What is secret by the name that it has: a password, a token, a key, wherever people write one."""

from __future__ import annotations

import re
from typing import Final

# As words of a name: HF_TOKEN, adminPassword, DB_PASS, api-key, but neither TOKENIZERS_PARALLELISM nor maxTokens.
_SECRET_WORDS: Final = re.compile(
    r"(?:^|_)(?:token|password|passwd|passphrase|pass|pwd|secret|secret_string|secret_binary|credentials?|private_key"
    r"|access_key|api_?key|secret_key)$"
)
# Of variables alone, since charts have keys of many kinds: OPENAI_KEY.
_KEY: Final = re.compile(r"[a-z0-9]_key$")
_KEY_OF_NOTHING: Final = re.compile(r"(?:^|_)(?:public|cache|sort|partition|primary|routing|group|object)_key$")
# Marks in a model's text: EOS_TOKEN.
_MARK: Final = re.compile(r"(?:^|_)(?:bos|eos|eot|pad|unk|sep|cls|mask|stop)_token$")
_WORD: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+")
# What a variable of that name may well say: nothing, a switch, a number of tokens, a path, another variable, a mark.
_NO_SECRET: Final = re.compile(
    r"|true|false|none|null|auto|\d{1,7}(\.\d+)?|/.*|\$\(.*\)|\$\{.*\}|</?[|\w]*>", re.IGNORECASE
)
# The last is Vault's annotation, which says where a secret is.
_REFERENCE: Final = re.compile(r"(?:^|_)(?:existing|name|ref|agent_inject)(?:_|$)")
# Not a model's tag before its digest: ollama://llama3.1:8b@sha256:...
_LOGIN: Final = re.compile(r"\b([a-z][a-z0-9+.-]*://[^\s/:@]*:)(?!\$[({])[^\s/@]+(?=@(?!sha256:))", re.IGNORECASE)
HIDDEN: Final = "***"


def named_secret(name: str, value: str, *, variable: bool = False) -> bool:
    """Whether a value is secret because of its name; `variable`: of one of the environment."""
    words = _WORD.sub("_", name).strip("_").lower()
    if _REFERENCE.search(words) or _MARK.search(words) or _NO_SECRET.fullmatch(value):
        return False
    key = variable and _KEY.search(words) is not None and _KEY_OF_NOTHING.search(words) is None
    return key or _SECRET_WORDS.search(words) is not None


def without_logins(text: str) -> str:
    """The text without the passwords of addresses: redis://:***@host."""
    return _LOGIN.sub(rf"\1{HIDDEN}", text)
