"""The batch's one loop: order of arrival, each command all or nothing, repeats by request_id."""

from __future__ import annotations

import pytest

from inventory_server.domain import (
    commands,
    import_commands,
    location_commands,
    order_commands,
    payment_commands,
    reservation_commands,
    store_commands,
)
from inventory_server.domain import decide as decide_module
from inventory_server.domain.commands import (
    AddCartItems,
    Checkout,
    Command,
    ConfirmReservation,
    CreateCart,
    CreateStock,
    CreateStockTransaction,
    ForgetAnswers,
    ReleaseReservation,
    ReserveStock,
)
from inventory_server.domain.decide import Replay, Request, decide
from inventory_server.domain.errors import CartNotFound, IdReused, InsufficientStock, StockNotFound
from inventory_server.domain.order import CartItem
from inventory_server.domain.reservation import Line, ReservationState
from inventory_server.domain.state import State
from inventory_server.domain.stock import Action
from support.world import World, repeatable


@pytest.fixture
def world() -> World:
    """5 of `a`."""
    made = World()
    made.stock("a", 5)
    return made


def take(name: str, quantity: int) -> ReserveStock:
    return ReserveStock(name, (Line("a", quantity),))


def plus(quantity: int) -> CreateStockTransaction:
    return CreateStockTransaction("a", Action.INCREMENT, quantity)


def test_the_order_of_arrival_is_the_serial_order(world: World) -> None:
    """Each command sees what its predecessors left: who comes first gets the last units."""
    verdicts = world.batch(take("r1", 3), take("r2", 3), take("r3", 2), plus(3), take("r4", 3))
    assert [type(v).__name__ for v in verdicts] == [
        "Reservation",
        "InsufficientStock",
        "Reservation",
        "LogRecord",
        "Reservation",
    ]
    assert world.numbers("a") == (0, 8)
    world.check()


def test_one_batch_may_build_on_itself(world: World) -> None:
    """A command finds what an earlier one of its batch made."""
    verdicts = world.batch(
        CreateStock("b", 1),
        CreateCart("c", "EUR"),
        AddCartItems("c", (CartItem("b", 1, 9, None),)),
        Checkout("c", "o"),
    )
    assert verdicts[-1].order.total_minor == 9
    assert world.view("o").order == verdicts[-1].order


def test_a_refusal_in_the_middle_leaves_nothing(world: World) -> None:
    """A refused command changes nothing, though it had drafted; its neighbours stand."""
    world.stock("b", 1)
    world.do(CreateCart("c", "EUR"))
    # AddCartItems drafts the cart before it finds the stock short.
    short = AddCartItems("c", (CartItem("a", 1, 1, None), CartItem("b", 2, 1, None)))
    verdicts = world.batch(take("r1", 1), short, take("r2", 1))
    assert isinstance(verdicts[1], InsufficientStock)
    assert world.rows["carts"]["c"].items == ()
    assert world.level("a").version == 3
    world.check()


def test_refused_commands_change_nothing_of_a_state(world: World) -> None:
    """A state whose commands were all refused has nothing to save."""
    state = world.state()
    decide(state, [Request(c) for c in (take("r", 6), Checkout("x", "y"), plus(2**43), CreateStock("a", 1))])
    assert state.log == []
    assert not any(getattr(state, name).written() for name in world.rows)


def test_a_defect_leaves_nothing_of_its_command(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule that raises what is no refusal breaks the batch; what was kept before it is whole."""

    def broken(state: State, command: ReleaseReservation, _request_id: str | None) -> object:
        decide_module._HANDLERS[ReserveStock](state, take("half", 1), None)
        raise ZeroDivisionError

    monkeypatch.setitem(decide_module._HANDLERS, ReleaseReservation, broken)
    state = world.state()
    with pytest.raises(ZeroDivisionError):
        decide(state, [Request(take("r", 2)), Request(ReleaseReservation("r")), Request(plus(1))])
    world.keep(state)
    assert list(world.rows["reservations"]) == ["r"]
    world.check()


def test_a_defect_in_the_encoding_leaves_nothing(world: World) -> None:
    """An answer that cannot be stored is as if the command had not been."""

    def broken(_verdict: object) -> bytes:
        raise ZeroDivisionError

    state = world.state()
    with pytest.raises(ZeroDivisionError):
        decide(state, [Request(plus(1), "q", broken)])
    before = world.snapshot()
    world.keep(state)
    assert world.snapshot() == before


# --- request ids ---------------------------------------------------------------------------------


def test_a_repeat_is_answered_as_before(world: World) -> None:
    """The same request_id and content answers the stored bytes, whatever happened meanwhile."""
    first = world.do(repeatable(plus(2), "q"))
    world.do(plus(10))
    before = world.snapshot()
    assert world.do(repeatable(plus(2), "q")) == Replay(repr(first).encode())
    assert world.snapshot() == before


def test_a_repeat_in_the_same_batch(world: World) -> None:
    """Twice in one batch is once: the second is the first's answer."""
    first, second = world.batch(repeatable(plus(2), "q"), repeatable(plus(2), "q"))
    assert second == Replay(repr(first).encode())
    assert world.numbers("a") == (7, 0)


def test_other_content_under_a_used_request_id(world: World) -> None:
    """The same request_id with other content is ID_REUSED, before anything else is looked at."""
    world.do(repeatable(plus(2), "q"))
    before = world.snapshot()
    for other in (plus(3), CreateStockTransaction("no such", Action.INCREMENT, 2)):
        with pytest.raises(IdReused) as caught:
            world.do(repeatable(other, "q"))
        assert (caught.value.field, caught.value.value) == ("request_id", "q")
    assert world.snapshot() == before


def test_request_ids_are_told_apart_by_method(world: World) -> None:
    """One id under two methods is two requests."""
    world.hold("r", Line("a", 1))
    world.do(repeatable(ConfirmReservation("r"), "q"))
    assert world.do(repeatable(ReleaseReservation("r"), "q")).state is ReservationState.RELEASED
    assert set(world.rows["answers"]) == {("ConfirmReservation", "q"), ("ReleaseReservation", "q")}


def test_a_refusal_is_decided_afresh(world: World) -> None:
    """Nothing is stored of a refusal: the same request may succeed later."""
    take_six = CreateStockTransaction("a", Action.DECREMENT, 6)
    with pytest.raises(InsufficientStock):
        world.do(repeatable(take_six, "q"))
    assert not world.rows["answers"]
    world.do(plus(1))
    assert world.do(repeatable(take_six, "q")).entry.level.available == 0


def test_an_answer_that_changed_nothing_is_not_stored(world: World) -> None:
    """Only what changed something is stored; releasing the released is decided afresh."""
    world.hold("r", Line("a", 1))
    world.do(ReleaseReservation("r"))
    assert world.do(repeatable(ReleaseReservation("r"), "q")).state is ReservationState.RELEASED
    assert not world.rows["answers"]


@pytest.mark.parametrize("request_", [Request(plus(1)), Request(plus(1), "q"), Request(plus(1), None, bytes)])
def test_without_an_id_or_an_encoding_nothing_is_stored(world: World, request_: Request) -> None:
    """The server's own commands carry no request_id, and leave no answer."""
    world.do(request_)
    assert not world.rows["answers"]


def test_the_log_tells_the_request(world: World) -> None:
    """A log entry names the request_id that made it."""
    world.do(repeatable(plus(1), "q"))
    assert world.log[-1].request_id == "q"


def test_verdicts_come_in_order(world: World) -> None:
    """One verdict each, in the order asked, refusals in their places."""
    unknown = CreateStockTransaction("z", Action.SET, 1)
    verdicts = world.batch(CreateStock("b", 1), Checkout("x", "y"), plus(1), ForgetAnswers(24), unknown)
    assert [type(v) for v in verdicts[1::3]] == [CartNotFound, StockNotFound]
    assert verdicts[0].product_id == "b" and verdicts[2].entry.product_id == "a" and verdicts[3] is None


def test_every_command_has_its_handler() -> None:
    """No command can be queued that decide does not know."""
    declared = {
        value
        for module in (
            commands,
            import_commands,
            location_commands,
            order_commands,
            payment_commands,
            reservation_commands,
            store_commands,
        )
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, Command) and not name.startswith("_")
    }
    assert declared - {Command} == set(decide_module._HANDLERS)
