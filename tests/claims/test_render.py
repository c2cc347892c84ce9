"""The claims as a table, as Markdown, as JSON and as one line: nothing that is not proved is left out of any."""

from __future__ import annotations

import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from claims import render
from claims.claim import Claim, Verdict

PROVED = Claim(
    id="fits",
    subject="models.chat",
    sentence="8 requests fit",
    arithmetic=("1.0 GiB + 2.0 GiB = 3.0 GiB <= 4.0 GiB",),
    verdict=Verdict.PROVED,
)
REFUSED = Claim(
    id="loads",
    subject="models.chat",
    sentence="it loads in time",
    arithmetic=("16.0 GB / 100 MB/s = 160 s", "160 s > 120 s"),
    verdict=Verdict.REFUSED,
    change="inference:models.chat.probes.startupSeconds 200",
)
UNPROVEN = Claim(
    id="schedules",
    subject="gpuPools.l4",
    sentence="2 replicas find nodes",
    arithmetic=("2 x 1 <= 2",),
    verdict=Verdict.UNPROVEN,
    proof="inference:gpuPools.l4.quotaVcpus N",
)
ACCEPTED = replace(REFUSED, accepted="a demo | of one day")


def test_a_stack_of_which_all_is_proved_is_a_line_a_subject() -> None:
    other = replace(PROVED, id="drops"), replace(PROVED, subject="stack", id="private")
    assert render.table([PROVED, *other]) == (
        "claims: 3 proved\n  models.chat  proved: fits, drops\n  stack        proved: private"
    )


def test_what_is_not_proved_follows_its_subject() -> None:
    assert render.table([PROVED, REFUSED, UNPROVEN]).splitlines() == [
        "claims: 1 proved, 1 refused, 1 unproven",
        "  models.chat  proved: fits; refused: loads",
        "    loads is refused: it does not hold that it loads in time",
        "      16.0 GB / 100 MB/s = 160 s",
        "      160 s > 120 s",
        "      would hold with: inference:models.chat.probes.startupSeconds 200",
        "  gpuPools.l4  unproven: schedules",
        "    schedules is unproven: 2 replicas find nodes",
        "      would be proved by: inference:gpuPools.l4.quotaVcpus N",
    ]


def test_what_is_accepted_is_told_with_its_reason_every_time() -> None:
    text = render.table([PROVED, ACCEPTED])
    assert text.startswith("claims: 1 proved, 1 refused and accepted\n")
    assert "  models.chat  proved: fits; refused and accepted: loads\n" in text
    assert "    loads is refused, and accepted: it does not hold that it loads in time\n" in text
    assert text.endswith("\n      accepted: a demo | of one day")


def test_everything_comes_with_its_arithmetic() -> None:
    text = render.table([PROVED, UNPROVEN], everything=True)
    assert "    fits is proved: 8 requests fit\n      1.0 GiB + 2.0 GiB = 3.0 GiB <= 4.0 GiB\n" in text
    assert "      2 x 1 <= 2\n" in text


def test_a_refusal_is_one_line_with_the_way_out() -> None:
    assert render.refusal(REFUSED) == (
        "loads:models.chat is refused: it does not hold that it loads in time: 16.0 GB / 100 MB/s = 160 s; "
        "160 s > 120 s; inference:models.chat.probes.startupSeconds 200"
    )


def test_markdown_is_a_table_then_what_is_not_proved_then_the_arithmetic_folded() -> None:
    assert render.markdown([PROVED, ACCEPTED, UNPROVEN]) == (
        "**Claims**: 1 proved, 1 refused and accepted, 1 unproven\n"
        "\n"
        "| | |\n"
        "|---|---|\n"
        "| `models.chat` | proved: fits; refused and accepted: loads |\n"
        "| `gpuPools.l4` | unproven: schedules |\n"
        "\n"
        "- `loads:models.chat` is refused, and accepted: it does not hold that it loads in time\n"
        "  - 16.0 GB / 100 MB/s = 160 s\n"
        "  - 160 s > 120 s\n"
        "  - would hold with: inference:models.chat.probes.startupSeconds 200\n"
        "  - accepted: a demo \\| of one day\n"
        "- `schedules:gpuPools.l4` is unproven: 2 replicas find nodes\n"
        "  - would be proved by: inference:gpuPools.l4.quotaVcpus N\n"
        "\n"
        "<details><summary>The arithmetic</summary>\n"
        "\n"
        "```text\n"
        "fits:models.chat is proved: 8 requests fit\n"
        "  1.0 GiB + 2.0 GiB = 3.0 GiB <= 4.0 GiB\n"
        "loads:models.chat is refused, and accepted: it does not hold that it loads in time\n"
        "  16.0 GB / 100 MB/s = 160 s\n"
        "  160 s > 120 s\n"
        "schedules:gpuPools.l4 is unproven: 2 replicas find nodes\n"
        "  2 x 1 <= 2\n"
        "```\n"
        "\n"
        "</details>"
    )


def test_json_has_all_of_every_claim() -> None:
    first, second = json.loads(render.as_json([ACCEPTED, UNPROVEN]))
    assert first == {
        "id": "loads",
        "subject": "models.chat",
        "verdict": "refused",
        "sentence": "it loads in time",
        "arithmetic": ["16.0 GB / 100 MB/s = 160 s", "160 s > 120 s"],
        "change": "inference:models.chat.probes.startupSeconds 200",
        "proof": None,
        "accepted": "a demo | of one day",
    }
    assert second["proof"] == "inference:gpuPools.l4.quotaVcpus N"


def test_the_output_of_the_stack_is_short() -> None:
    assert render.summary([PROVED, REFUSED, replace(ACCEPTED, id="drops"), UNPROVEN]) == {
        "proved": 1,
        "refused": {"loads:models.chat": "inference:models.chat.probes.startupSeconds 200"},
        "accepted": {"drops:models.chat": "a demo | of one day"},
        "unproven": {"schedules:gpuPools.l4": "inference:gpuPools.l4.quotaVcpus N"},
    }


TOKEN = "hf_" + "aB3dE5fG7hJ9kL1m"


def test_no_form_shows_a_secret_that_a_reason_or_a_setting_has() -> None:
    claim = replace(
        REFUSED,
        accepted=f"as {TOKEN} says",
        change=f"x {TOKEN}",
        sentence=f"it reads {TOKEN}",
        arithmetic=(f"a {TOKEN}", "redis://:hunter2@host"),
    )
    unproven = replace(UNPROVEN, proof=f"curl -H {TOKEN}")
    both = [claim, unproven]
    forms = (render.table(both), render.markdown(both), render.as_json(both), render.refusal(claim))
    told = "".join((*forms, json.dumps(render.summary(both))))
    assert TOKEN not in told
    assert "hunter2" not in told
    assert all("hf_***" in form for form in forms)


def test_what_others_write_is_one_line_that_does_nothing() -> None:
    reason = "fine\n\n</details> <img src=x> @everyone `x` a|b ![i](http://a.example.com)\n```\n# big"
    claim = replace(REFUSED, accepted=reason, arithmetic=("1 < 2\n```\n@here",))
    bullets, _, folded = render.markdown([claim]).partition("<details>")
    (said,) = [each for each in bullets.splitlines() if each.startswith("  - accepted: ")]
    assert said == (
        "  - accepted: fine &lt;/details> &lt;img src=x> @&#8203;everyone \\`x\\` a\\|b ![i]\\(http://a.example.com) "
        "\\`\\`\\` # big"
    )
    assert "  - 1 &lt; 2 \\`\\`\\` @&#8203;here" in bullets
    # In the fold nothing ends the fence.
    assert folded.count("````") == 2
    lines = folded.splitlines()
    assert lines[2:6] == ["````text", lines[3], "  1 < 2 ``` @here", "````"]


CLAIMS = st.lists(
    st.builds(
        Claim,
        id=st.sampled_from(["fits", "loads", "drops"]),
        subject=st.sampled_from(["models.chat", "models.draft", "stack"]),
        sentence=st.just("it holds"),
        arithmetic=st.just(("1 <= 2",)),
        verdict=st.sampled_from(Verdict),
        change=st.just("the change"),
        proof=st.just("the proof"),
    ),
    unique_by=lambda claim: claim.key,
)


@given(CLAIMS)
def test_nothing_that_is_not_proved_is_left_out(claims: list[Claim]) -> None:
    table, markdown = render.table(claims), render.markdown(claims)
    refused = sum(claim.verdict is Verdict.REFUSED for claim in claims)
    unproven = sum(claim.verdict is Verdict.UNPROVEN for claim in claims)
    assert table.count("would hold with: the change") == markdown.count("would hold with: the change") == refused
    assert table.count("would be proved by: the proof") == markdown.count("would be proved by: the proof") == unproven
    assert all(f"`{claim.key}` is {claim.verdict}" in markdown for claim in claims if claim.verdict != "proved")
    told = render.summary(claims)
    assert (len(told["refused"]), len(told["unproven"])) == (refused, unproven)
    assert told["proved"] + refused + unproven == len(claims) == len(json.loads(render.as_json(claims)))


def test_a_bar_in_a_name_does_not_end_a_cell() -> None:
    assert "proved: a\\|b" in render.markdown([replace(PROVED, id="a|b")])


def test_without_claims_there_is_little_to_say() -> None:
    assert render.table([]) == "claims: none"
