"""The client against a real HTTP server that fails in every way that endpoints do."""

import json
import threading

import pytest
from enrichment_chat_server import KEY, Response, completion
from pydantic import BaseModel, ConfigDict

from gream.config import EnrichmentConfig
from gream.enrichment.cache import ReplyCache
from gream.enrichment.client import LlmClient, LlmRequest
from gream.enrichment.untrusted import PlainText
from gream.errors import EnrichmentError

pytestmark = pytest.mark.integration


class Text(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: PlainText


def answer(text, **facts):
    return completion(json.dumps({"text": text}), **facts)


def ask(tmp_path, count=1, **settings):
    """The client and its answers to `count` different requests."""
    client = LlmClient(
        EnrichmentConfig(backend="openai", model="m", **({"concurrency": 1} | settings)), tmp_path / "cache.sqlite"
    )
    return client, client.complete_all([LlmRequest("Do.", {"n": number}) for number in range(count)], Text)


def kept(tmp_path):
    with ReplyCache(tmp_path / "cache.sqlite") as cache:
        return len(cache)


def test_the_question_has_the_openai_form(chat, tmp_path):
    chat.play = lambda data, attempt: answer("yes <|a_1|>")
    _, answers = ask(tmp_path, max_output_tokens=77, temperature=0.5)
    assert answers == [Text(text="yes")]
    (body,) = chat.bodies
    assert body["messages"] == [{"role": "system", "content": "Do."}, {"role": "user", "content": '{"n": 0}'}]
    assert (body["model"], body["max_completion_tokens"], body["temperature"]) == ("m", 77, 0.5)
    assert body["response_format"]["type"] == "json_schema"
    schema = body["response_format"]["json_schema"]
    assert (schema["name"], schema["strict"]) == ("Text", True)
    assert schema["schema"] == Text.model_json_schema()


def test_429_500_time_outs_and_dropped_connections_are_repeated(chat, tmp_path):
    release = threading.Event()

    def play(data, attempt):
        if attempt == 0:
            return Response({"error": {"message": "slow down"}}, 429, {"Retry-After": "1"})
        if attempt == 1:
            return Response({"error": {"message": "oops"}}, 500)
        if attempt == 2:
            release.wait(30)
        if attempt == 3:
            return None
        return answer("at last")

    chat.play = play
    client, answers = ask(tmp_path, max_retries=4, timeout_s=0.5)
    release.set()
    assert answers == [Text(text="at last")]
    assert len(chat.bodies) == 5
    assert (client.usage.replies, client.usage.retries) == (1, 4)
    assert (client.usage.prompt_tokens, client.usage.completion_tokens) == (10, 5)
    # The server asked for a second; the client's own back-off begins with half of one.
    assert chat.arrivals[1] - chat.arrivals[0] >= 1.0


def test_exhausted_retries_stop_the_run(chat, tmp_path):
    chat.play = lambda data, attempt: Response({"error": {"message": "busy"}}, 503)
    with pytest.raises(EnrichmentError, match=r"answered 503.*busy"):
        ask(tmp_path, count=5, max_retries=1)
    assert len(chat.bodies) == 2


def test_time_outs_name_their_key(chat, tmp_path):
    release = threading.Event()
    chat.play = lambda data, attempt: answer("late") if release.wait(30) else answer("never")
    with pytest.raises(EnrichmentError, match=r"enrichment\.timeout_s = 0\.2 seconds in 1 attempts"):
        ask(tmp_path, max_retries=0, timeout_s=0.2)
    release.set()


def test_nobody_there(tmp_path, monkeypatch):
    monkeypatch.setenv("GREAM_LLM_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("GREAM_LLM_API_KEY", KEY)
    with pytest.raises(EnrichmentError, match=r"127\.0\.0\.1 cannot be reached"):
        ask(tmp_path, max_retries=0)


def test_a_wrong_key_stops_the_run_and_is_never_shown(chat, tmp_path, monkeypatch, caplog, capfd):
    monkeypatch.setenv("GREAM_LLM_API_KEY", "sk-other-secret")
    with pytest.raises(EnrichmentError, match=r"answered 401.*GREAM_LLM_API_KEY") as caught:
        ask(tmp_path, count=5)
    assert "wrong door or key: Bearer ***" in str(caught.value)
    printed = capfd.readouterr()
    assert "sk-other-secret" not in str(caught.value) + caplog.text + printed.out + printed.err
    assert caught.value.__cause__ is None


def test_an_invalid_answer_is_asked_for_once_more_with_the_reason(chat, tmp_path):
    chat.play = lambda data, attempt: answer("good") if attempt else completion('<|im_start|>Sure! {"text"', 20, 7)
    client, answers = ask(tmp_path)
    assert answers == [Text(text="good")]
    assert (client.usage.replies, client.usage.repairs, client.usage.failures) == (2, 1, 0)
    assert (client.usage.prompt_tokens, client.usage.completion_tokens) == (30, 12)
    first, second = chat.bodies
    assert second["messages"][:2] == first["messages"]
    assert second["messages"][2] == {"role": "assistant", "content": 'Sure! {"text"'}
    assert second["messages"][3]["role"] == "user"
    assert "Invalid JSON" in second["messages"][3]["content"]


def test_a_cut_answer_is_told_so(chat, tmp_path):
    chat.play = lambda data, attempt: answer("good") if attempt else completion('{"text": "on and', finish="length")
    ask(tmp_path, max_output_tokens=9)
    assert "cut off at 9 tokens" in chat.bodies[1]["messages"][3]["content"]


def test_answers_that_reasoning_leaves_no_room_for_say_so(chat, tmp_path):
    chat.play = lambda data, attempt: completion("", finish="length")
    with pytest.raises(
        EnrichmentError, match=r"cut off at 9 tokens, enrichment\.max_output_tokens, in which hidden reasoning counts"
    ):
        ask(tmp_path, max_output_tokens=9)
    assert "reasoning" not in chat.bodies[1]["messages"][3]["content"]


def test_stubborn_requests_yield_none_up_to_a_share(chat, tmp_path):
    # 5% of 80: four failures are borne, an unwilling endpoint's (400) and three babblers'; a fifth stops the run.
    def play(data, attempt):
        if data["n"] == 7:
            return Response({"error": {"message": "content filter"}}, 400)
        return completion("babble") if data["n"] in babblers else answer(str(data["n"]))

    chat.play, babblers = play, {11, 12, 13}
    client, answers = ask(tmp_path, count=80)
    assert [number for number, answered in enumerate(answers) if answered is None] == [7, 11, 12, 13]
    assert answers[79] == Text(text="79")
    assert (client.usage.failures, client.usage.repairs, client.usage.replies) == (4, 3, 82)

    # Again: only the refusal, which nobody charged for, is tried again; the babble was paid for and is judged again.
    before = len(chat.bodies)
    client, again = ask(tmp_path, count=80)
    assert again == answers
    assert len(chat.bodies) == before + 1
    assert (client.usage.replies, client.usage.cached, client.usage.failures) == (0, 82, 4)

    babblers = {11, 12, 13, 14}
    (tmp_path / "cache.sqlite").unlink()
    with pytest.raises(EnrichmentError, match=r"5 requests failed, the last one: no valid Text in two answers") as stop:
        ask(tmp_path, count=80)
    assert "the same command fails again until the cause is mended" in str(stop.value)
    assert "continues" not in str(stop.value)


def test_a_few_failures_are_borne_where_there_are_few_requests(chat, tmp_path):
    unwilling = {0, 1, 2}
    chat.play = lambda data, attempt: Response({"error": {}}, 400) if data["n"] in unwilling else answer("x")
    _, answers = ask(tmp_path, count=6)
    assert [answered is None for answered in answers] == [True, True, True, False, False, False]
    unwilling.add(5)
    (tmp_path / "cache.sqlite").unlink()
    with pytest.raises(EnrichmentError, match="4 requests failed"):
        ask(tmp_path, count=6)


@pytest.mark.parametrize("count", [1, 3])
def test_where_every_request_fails_even_a_few_stop_the_run(chat, tmp_path, count):
    chat.play = lambda data, attempt: Response({"error": {}}, 400)
    with pytest.raises(EnrichmentError, match=f"{count} requests failed"):
        ask(tmp_path, count=count)


def test_concurrency_is_used_and_bounded(chat, tmp_path):
    together = threading.Barrier(3)  # nobody is answered before three are under way,
    never = threading.Event()

    def play(data, attempt):
        together.wait(30)
        never.wait(0.3)  # and a fourth would have time to come
        return answer(str(data["n"]))

    chat.play = play
    _, answers = ask(tmp_path, count=12, concurrency=3)
    assert answers == [Text(text=str(number)) for number in range(12)]
    assert chat.most_at_once == 3


def test_equal_requests_are_asked_once(chat, tmp_path):
    chat.play = lambda data, attempt: answer(data)
    client = LlmClient(EnrichmentConfig(backend="openai", model="m"), tmp_path / "cache.sqlite")
    answers = client.complete_all([LlmRequest("Do.", name) for name in "abaab"], Text)
    assert [answered.text for answered in answers] == list("abaab")
    assert len(chat.bodies) == 2


@pytest.mark.parametrize("change", [{"model": "other"}, {"temperature": 1.0}])
def test_another_question_is_not_answered_from_the_cache(chat, tmp_path, change):
    chat.play = lambda data, attempt: answer("x")
    base = {"backend": "openai", "model": "m"}
    for settings in (base, base, base | change):
        LlmClient(EnrichmentConfig(**settings), tmp_path / "cache.sqlite").complete_all([LlmRequest("Do.", 1)], Text)
    assert len(chat.bodies) == 2


def test_more_room_asks_again_only_for_what_was_cut_off(chat, tmp_path):
    def play(data, attempt):
        return answer(str(data["n"])) if data["n"] < 6 or roomy else completion('{"text": "on and', finish="length")

    chat.play, roomy = play, False
    with pytest.raises(EnrichmentError, match=r"4 requests failed.*in which hidden reasoning counts: raise it"):
        ask(tmp_path, count=10, max_output_tokens=9)
    assert len(chat.bodies) == 6 + 4 * 2
    before, roomy = len(chat.bodies), True
    client, answers = ask(tmp_path, count=10, max_output_tokens=99)
    assert answers == [Text(text=str(number)) for number in range(10)]
    assert [json.loads(body["messages"][1]["content"])["n"] for body in chat.bodies[before:]] == [6, 7, 8, 9]
    assert (client.usage.cached, client.usage.replies) == (6, 4)
    # Less room asks for nothing: what is there came to its end.
    client, _ = ask(tmp_path, count=10, max_output_tokens=9)
    assert (client.usage.cached, client.usage.replies) == (10, 0)


def test_what_was_cut_off_is_not_asked_for_again_with_as_much_room(chat, tmp_path):
    chat.play = lambda data, attempt: completion("", finish="length")
    for _ in range(2):
        with pytest.raises(EnrichmentError, match="cut off at 9 tokens"):
            ask(tmp_path, max_output_tokens=9)
    assert len(chat.bodies) == 2


def test_a_token_budget_stops_and_a_larger_one_continues(chat, tmp_path):
    chat.play = lambda data, attempt: answer(str(data["n"]))
    # 15 tokens an answer: spent are 0, 15, 30, 45, and 45 >= 40 stops before the fourth.
    with pytest.raises(EnrichmentError, match=r"budget_tokens = 40 is spent \(45 tokens used, 0 .* 3 of 10 requests"):
        ask(tmp_path, count=10, budget_tokens=40)
    assert len(chat.bodies) == kept(tmp_path) == 3
    # As a retry of the same step does: the limit is what the output may cost, however often it is tried.
    with pytest.raises(EnrichmentError, match=r"45 tokens used, 45 of them earlier\); raise it\. 3 of 10 requests"):
        ask(tmp_path, count=10, budget_tokens=40)
    assert len(chat.bodies) == 3
    client, answers = ask(tmp_path, count=10, budget_tokens=150)
    assert answers == [Text(text=str(number)) for number in range(10)]
    assert len(chat.bodies) == 10
    assert (client.usage.cached, client.usage.replies) == (3, 7)
    assert (client.usage.cached_prompt_tokens, client.usage.prompt_tokens) == (30, 70)


def test_a_usd_budget_stops(chat, tmp_path):
    chat.play = lambda data, attempt: answer("x", prompt_tokens=1_000, completion_tokens=100)
    prices = {"usd_per_million_prompt_tokens": 1.0, "usd_per_million_completion_tokens": 5.0}
    # 0.001 + 0.0005 = 0.0015 USD an answer: two make 0.003, which is reached.
    with pytest.raises(EnrichmentError, match=r"budget_usd = 0\.003 is spent"):
        ask(tmp_path, count=10, budget_usd=0.003, **prices)
    assert len(chat.bodies) == 2
    (tmp_path / "cache.sqlite").unlink()
    client, _ = ask(tmp_path, count=10, **prices)
    assert client.usage.usd == pytest.approx(0.015)


def test_what_is_under_way_when_a_run_stops_is_kept(chat, tmp_path):
    refused = threading.Event()

    def play(data, attempt):
        if data["n"] == 0:
            refused.set()
            return Response({"error": {"message": "no such model"}}, 404)
        assert refused.wait(30)
        return answer("slow")

    chat.play = play
    with pytest.raises(EnrichmentError, match="answered 404") as error:
        ask(tmp_path, count=9, concurrency=2)
    # One at least was under way; how many more is up to when the refusal is read.
    done = len(chat.bodies) - 1
    assert 1 <= done < 8
    assert f"{done} of 9 requests were done" in str(error.value)
    assert kept(tmp_path) == done


@pytest.mark.parametrize(
    "body",
    [b"<html>Welcome to the proxy</html>", {"choices": []}, {"choices": [{"message": {"content": "{}"}}]}],
    ids=["page", "no choice", "no token counts"],
)
def test_something_else_than_a_chat_completion_is_said(chat, tmp_path, body):
    chat.play = lambda data, attempt: Response(body)
    with pytest.raises(EnrichmentError, match="something else than a chat completion"):
        ask(tmp_path)
    assert kept(tmp_path) == 0
