"""The payment gateway simulator as a process, over a real channel."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import grpc
import grpc.aio
import pytest

from inventory_client import v1
from inventory_loadtest.gateway_ledger import takings
from support.polling import DEADLINES_S, WAIT_S, until

R = v1.GatewayResult


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gateway") / "ledger.jsonl"


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """One simulator serves the whole module; ids are each test's own."""
    return str(request.node.name)


def start(*args: str, **popen: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "inventory_loadtest.gateway", "--latency-ms", "5", *args]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **popen)  # type: ignore[call-overload,no-any-return]


def address_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    ready, address = process.stdout.readline().split()
    assert ready == "ready"
    return address


def stop(process: subprocess.Popen[str]) -> int:
    process.terminate()
    status = process.wait(60)
    assert process.stdout
    assert process.stdout.read() == ""
    process.stdout.close()
    return status


@pytest.fixture(scope="module")
def simulator(ledger: Path) -> Iterator[str]:
    process = start("--ledger", str(ledger))
    yield address_of(process)
    assert stop(process) == 0


@pytest.fixture
async def gateway(simulator: str) -> AsyncIterator[v1.PaymentGatewayServiceStub]:
    async with grpc.aio.insecure_channel(simulator) as channel:
        yield v1.PaymentGatewayServiceStub(channel)


def purchase(name: str, method: str = "") -> v1.PurchaseRequest:
    return v1.PurchaseRequest(
        operation_id=f"op-{name}",
        store_id="default",
        order_id=f"order-{name}",
        payment_id=f"pay-{name}",
        amount_minor=1999,
        currency="EUR",
        payment_method=method,
    )


async def result(gateway: v1.PaymentGatewayServiceStub, name: str) -> int:
    answer = await gateway.GetOperation(v1.GetOperationRequest(operation_id=f"op-{name}"))
    return answer.outcome.result


async def past(gateway: v1.PaymentGatewayServiceStub, name: str, state: int) -> int:
    """Ask until the answer is another one."""
    loop = asyncio.get_running_loop()
    end = loop.time() + WAIT_S
    while (found := await result(gateway, name)) == state:
        assert loop.time() < end, f"{name} stays {state}"
        await asyncio.sleep(0.02)
    return found


async def end_of(gateway: v1.PaymentGatewayServiceStub, name: str) -> int:
    return await past(gateway, name, R.GATEWAY_RESULT_PENDING)


def taken(ledger: Path, name: str) -> int:
    with ledger.open() as lines:
        return sum(t.amount_minor for t in takings(lines) if t.operation_id == f"op-{name}")


def deliveries(ledger: Path, name: str) -> Counter[str]:
    entries = [json.loads(line) for line in ledger.read_text().splitlines()]
    return Counter(e["kind"] for e in entries if e["operation_id"] == f"op-{name}")


async def test_the_same_operation_takes_money_once(gateway, ledger, name) -> None:
    """Twenty deliveries of one operation at once: one answer for all, money taken once."""
    answers = await asyncio.gather(*(gateway.Purchase(purchase(name)) for _ in range(20)))
    assert {a.outcome.result for a in answers} == {R.GATEWAY_RESULT_ACCEPTED}
    assert len({a.outcome.gateway_reference for a in answers}) == 1
    assert taken(ledger, name) == 1999
    assert deliveries(ledger, name) == {"settled": 1, "absorbed": 19}


async def test_an_operation_id_with_other_content_is_refused(gateway, ledger, name) -> None:
    """The same key for another amount is a caller's mistake; nothing moves."""
    await gateway.Purchase(purchase(name))
    other = purchase(name)
    other.amount_minor = 1
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await gateway.Purchase(other)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert taken(ledger, name) == 1999


async def test_an_absent_operation_id_is_refused(gateway) -> None:
    """Without a key there is no promise to give."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await gateway.Purchase(v1.PurchaseRequest(amount_minor=1))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_an_unknown_operation_was_never_seen(gateway) -> None:
    """NEVER_SEEN is an answer, not an error."""
    assert await result(gateway, "nobody") == R.GATEWAY_RESULT_NEVER_SEEN


async def test_a_decline_is_an_answer(gateway, ledger, name) -> None:
    """A declined operation stays declined and takes nothing."""
    for _ in range(2):
        answer = await gateway.Purchase(purchase(name, "sim:decline"))
        assert answer.outcome.result == R.GATEWAY_RESULT_DECLINED
        assert answer.outcome.decline_reason
    assert await result(gateway, name) == R.GATEWAY_RESULT_DECLINED
    assert taken(ledger, name) == 0


async def test_a_lost_reply_took_the_money(gateway, ledger, name) -> None:
    """The call fails, the money is gone, and the repeat says so without taking it again."""
    with pytest.raises(grpc.aio.AioRpcError) as lost:
        await gateway.Purchase(purchase(name, "sim:lost-reply"))
    assert lost.value.code() is grpc.StatusCode.UNAVAILABLE
    assert await result(gateway, name) == R.GATEWAY_RESULT_ACCEPTED
    again = await gateway.Purchase(purchase(name, "sim:lost-reply"))
    assert again.outcome.result == R.GATEWAY_RESULT_ACCEPTED
    assert taken(ledger, name) == 1999


async def test_an_answer_that_never_comes(gateway, ledger, name) -> None:
    """The caller's deadline ends the call; the money was taken all the same."""
    for deadline_s in DEADLINES_S:
        with pytest.raises(grpc.aio.AioRpcError) as silent:
            await gateway.Purchase(purchase(name, "sim:no-reply"), timeout=deadline_s)
        assert silent.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        if await result(gateway, name) != R.GATEWAY_RESULT_NEVER_SEEN:
            break
    assert await end_of(gateway, name) == R.GATEWAY_RESULT_ACCEPTED
    assert taken(ledger, name) == 1999


async def test_a_caller_that_goes_away_does_not_stop_the_money(gateway, ledger, name) -> None:
    """A call cancelled in the latency: the operation goes on to its end."""
    call = gateway.Purchase(purchase(name, "sim:slow-1500ms"))
    await past(gateway, name, R.GATEWAY_RESULT_NEVER_SEEN)
    call.cancel()
    assert await end_of(gateway, name) == R.GATEWAY_RESULT_ACCEPTED
    assert taken(ledger, name) == 1999


async def test_an_outage_sees_nothing(gateway, ledger, name) -> None:
    """A refused delivery leaves no trace; the next one is the first."""
    with pytest.raises(grpc.aio.AioRpcError) as out:
        await gateway.Purchase(purchase(name, "sim:outage"))
    assert out.value.code() is grpc.StatusCode.UNAVAILABLE
    assert await result(gateway, name) == R.GATEWAY_RESULT_NEVER_SEEN
    again = await gateway.Purchase(purchase(name, "sim:outage"))
    assert again.outcome.result == R.GATEWAY_RESULT_ACCEPTED


async def test_pending_is_settled_later(gateway, ledger, name) -> None:
    """PENDING first, by Purchase, its repeat and GetOperation; then the end, and only then the money."""
    for number, pending_s in enumerate(DEADLINES_S):  # the first may be over before all have looked
        request = purchase(f"{name}-{number}", f"sim:pending-{int(pending_s * 1000)}ms")
        name = f"{name}-{number}"
        seen = [(await gateway.Purchase(request)).outcome.result for _ in range(2)]
        seen.append(await result(gateway, name))
        taken_before = taken(ledger, name)
        if await result(gateway, name) == R.GATEWAY_RESULT_PENDING:
            break
    assert (seen, taken_before) == ([R.GATEWAY_RESULT_PENDING] * 3, 0)
    assert await end_of(gateway, name) == R.GATEWAY_RESULT_ACCEPTED
    assert (await gateway.Purchase(request)).outcome.result == R.GATEWAY_RESULT_ACCEPTED
    assert taken(ledger, name) == 1999


async def test_requires_action_takes_nothing(gateway, ledger, name) -> None:
    """The shopper would have to do something: no money moves."""
    answer = await gateway.Purchase(purchase(name, "sim:requires-action"))
    assert answer.outcome.result == R.GATEWAY_RESULT_REQUIRES_ACTION
    assert taken(ledger, name) == 0


async def test_a_duplicate_is_absorbed(gateway, ledger, name) -> None:
    """A request that the network delivers twice: one answer, money taken once, the second one noted."""
    answer = await gateway.Purchase(purchase(name, "sim:duplicate"))
    assert answer.outcome.result == R.GATEWAY_RESULT_ACCEPTED
    assert taken(ledger, name) == 1999
    assert deliveries(ledger, name) == {"settled": 1, "absorbed": 1}


async def test_a_payment_goes_on(gateway, ledger, name) -> None:
    """Authorize, capture a part, refund it: each is steered by the first's words, and stands in the books."""
    first = purchase(name, "sim:accept,refund-lost-reply")
    authorize = v1.AuthorizeRequest.FromString(first.SerializeToString())
    assert (await gateway.Authorize(authorize)).outcome.result == R.GATEWAY_RESULT_ACCEPTED
    told = {"store_id": "default", "order_id": first.order_id, "payment_id": first.payment_id}
    capture = v1.CaptureRequest(operation_id=f"op-{name}-2", amount_minor=1500, currency="EUR", **told)
    answers = await asyncio.gather(*(gateway.Capture(capture) for _ in range(5)))
    assert {a.outcome.result for a in answers} == {R.GATEWAY_RESULT_ACCEPTED}
    void = v1.VoidRequest(operation_id=f"op-{name}-3", amount_minor=1999, currency="EUR", **told)
    assert (await gateway.Void(void)).outcome.result == R.GATEWAY_RESULT_DECLINED
    refund = v1.RefundRequest(operation_id=f"op-{name}-4", amount_minor=1500, currency="EUR", **told)
    with pytest.raises(grpc.aio.AioRpcError):
        await gateway.Refund(refund)
    assert (await gateway.Refund(refund)).outcome.result == R.GATEWAY_RESULT_ACCEPTED
    confirm = v1.ConfirmRequest(operation_id=f"op-{name}-5", amount_minor=1999, currency="EUR", **told)
    assert (await gateway.Confirm(confirm)).outcome.result == R.GATEWAY_RESULT_DECLINED
    moved = [taken(ledger, f"{name}{end}") for end in ("", "-2", "-3", "-4", "-5")]
    assert moved == [0, 1500, 0, -1500, 0]
    assert deliveries(ledger, f"{name}-2") == {"settled": 1, "absorbed": 4}
    entries = [json.loads(line) for line in ledger.read_text().splitlines()]
    kinds = [
        e["operation"] for e in entries if e["payment_id"] == first.payment_id and e["kind"] == "settled"
    ]
    assert kinds == ["Authorize", "Capture", "Void", "Refund", "Confirm"]


def test_sigterm_is_exit_status_0_with_a_call_in_flight() -> None:
    """Asked to stop, it stops, whatever is in flight, and prints no more."""
    process = start()
    with grpc.insecure_channel(address_of(process)) as channel:
        call = v1.PaymentGatewayServiceStub(channel).Purchase.future(
            purchase("stop", "sim:no-reply"), timeout=60
        )
        asked = v1.GetOperationRequest(operation_id="op-stop")
        stub = v1.PaymentGatewayServiceStub(channel)
        until(
            lambda: stub.GetOperation(asked).outcome.result != R.GATEWAY_RESULT_NEVER_SEEN,
            "the call is in flight",
        )
        assert stop(process) == 0
        assert call.code() is not grpc.StatusCode.OK


def test_it_ends_with_its_parent() -> None:
    """With --until-stdin-closes the end of stdin is the end of the process, exit status 0."""
    process = start("--until-stdin-closes", stdin=subprocess.PIPE)
    address_of(process)
    assert process.stdin
    process.stdin.close()
    assert process.wait(60) == 0
    assert process.stdout
    process.stdout.close()


@pytest.mark.parametrize(
    ("args", "status", "said"),
    [
        (["--decline-rate", "2"], 2, "decline_rate"),
        (["--port", "70000"], 2, "--port"),
        (["--ledger", "/nowhere/ledger"], 1, "ledger"),
    ],
)
def test_wrong_arguments_are_one_line(args: list[str], status: int, said: str) -> None:
    """What is wrong is said in one line on stderr."""
    process = start(*args, stderr=subprocess.PIPE)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err.count("\n")) == (status, "", 1)
    assert said in err


def test_a_taken_port_is_one_line(simulator: str) -> None:
    """Two simulators never share a port."""
    process = start("--port", simulator.rpartition(":")[2], stderr=subprocess.PIPE)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, "")
    assert "can't listen" in err.splitlines()[-1]


def test_sigint_is_exit_status_0() -> None:
    """Ctrl-C is a wish, not a failure."""
    process = start()
    address_of(process)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
    assert process.stdout
    process.stdout.close()


def test_it_needs_the_bare_package_alone() -> None:
    """No extra is imported: whoever has the client can run the simulator."""
    code = (
        "import sys, inventory_loadtest.gateway\n"
        "print([m for m in ('locust', 'gevent', 'rich', 'typer', 'psycopg') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
