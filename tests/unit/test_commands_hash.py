"""What "the same content" means: it stands on rows for as long as they live, so it may never change."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import Any

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
from inventory_server.domain.commands import Command, content_hash
from inventory_server.domain.location import Location
from inventory_server.domain.location_commands import (
    CreateLocation,
    DeleteLocation,
    TransferStock,
    UpdateLocation,
)
from inventory_server.domain.order import CartItem
from inventory_server.domain.payment import OperationKind, OperationState
from inventory_server.domain.payment_commands import (
    BeginCapture,
    BeginConfirm,
    BeginPayment,
    BeginRefund,
    BeginVoid,
    ClaimOperation,
    ResolvePayment,
    SettlePayment,
)
from inventory_server.domain.reservation import Line, LineUnits
from inventory_server.domain.reservation_commands import ExtendReservation, ReturnReservationItems
from inventory_server.domain.stock import Action
from inventory_server.domain.stock_import import ImportRow
from inventory_server.domain.store_commands import UpdateStoreSettings

MODULES = (
    commands,
    import_commands,
    location_commands,
    order_commands,
    payment_commands,
    reservation_commands,
    store_commands,
)
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
UNITS = (LineUnits(1, 2), LineUnits(2, 1))
LINES = (Line("a", 2), Line("b", 1, "north"))
NORTH = Location("north", False, 3, "North", "#7", "cold", ("1 Quay", "Port"), 59.9, 10.7)
ITEMS = (CartItem("a", 2, 150, None), CartItem("b", 1, 99, "north"))

ROWS = (ImportRow(1, 1, "a", (("default", 5),)), ImportRow(2, 2, "b", (("default", 7),)))

# Golden: a change of any of these hashes makes the repeats of old rows ID_REUSED.
GOLDEN: list[tuple[Command, str]] = [
    (commands.CreateStock("a", 5), "09da42ca2ea886fe965ea517bc9167cd"),
    (commands.CreateStock("a", 5, "north", 2), "f3f3974a4a658cc100c4ca87606b5ecd"),
    (
        UpdateStoreSettings((("default_hold_s", 60), ("cart_expiry_s", 90)), "tag"),
        "59ca0e8a618945e3341e9462dd3dc689",
    ),
    (commands.UpdateStock("a", True, 2, "tag"), "9a5007e0224c3f4751591f808b68490f"),
    (commands.DeleteStock("a", "tag"), "b88b98b73faeb89872975695f515a550"),
    (
        commands.CreateStockTransaction("a", Action.SET, 5, "north", "count", "#7"),
        "ace39cd81c6788631eeb31c44283f031",
    ),
    (
        commands.CreateStockTransaction("a", Action.SET, 5, "north", "count", "#7", 3),
        "4005da2da19f9b5143bb8e5585cb90a9",
    ),
    (CreateLocation(NORTH), "0616fed5afbfdda0e1a4ffd98f7ca510"),
    (UpdateLocation("north", (("name", "N"), ("enabled", True)), "etag"), "c9769746d651c20acb969177b5529af7"),
    (TransferStock("a", 3, "north", "south", "empty", "#7", 2), "71e8e05e78727070e070e19b7ced4906"),
    (DeleteLocation("north"), "069577d495f2fd6708f96c708707a3f9"),
    (commands.ReserveStock("r", LINES), "0d00bae3d495b8cfe90e849d5da0cb17"),
    (commands.ReserveStock("r", LINES, order_id="o", ttl_s=60.0), "d48983c5c366230944136ee9617c596e"),
    (commands.ReserveStock("r", LINES, expire_time=NOON), "2c7703d06b1d341e041272b819395ff4"),
    (commands.ReserveStock("r", LINES, never_expires=True), "220484c39be39e14cee2dbc457c9b986"),
    (commands.ConfirmReservation("r"), "e0c57eccce089bc259e030c225a00de5"),
    (commands.ReleaseReservation("r"), "32d33fdfb42879679d837e37f042f4f0"),
    (commands.FulfillReservation("r"), "fde4310866d18c68bc6385f909f749f0"),
    (commands.FulfillReservation("r", UNITS), "fb78cd02021da04d8e44eff0585d6164"),
    (
        ReturnReservationItems("r", "x", UNITS, True, "north", "wrong size", "#7"),
        "a651b4e9b7ea42163a42936a14414a0c",
    ),
    (commands.FulfillReservation("r", UNITS, "counter", "#7"), "89c657835a655e20e876c2c66558bc03"),
    (commands.ReleaseReservation("r", "no show", "#7"), "34139447537a38447b19d48e3f9f65d1"),
    (ExtendReservation("r", ttl_s=60.0), "a61052c8e26237cbdf5bac075222d2d9"),
    (ExtendReservation("r", expire_time=NOON), "a16dab5fb2e98b11281b9cd6c91caa37"),
    (ExtendReservation("r", never_expires=True), "0fe48bc78c830e260b0c0363a0c479b5"),
    (commands.ExpireReservation("r"), "76a075019b5e366fe9b6bc5cab8ccd03"),
    (commands.CreateCart("c", "EUR"), "0838cfdf590772d643b596bc6792bd70"),
    (commands.CreateCart("c", "EUR", True), "63e213cf63c4f72c3d20f4f8b545c050"),
    (commands.AddCartItems("c", ITEMS), "7c99a5e9df71ce9f212874d38bfd6ba2"),
    (commands.AddCartItems("c", (CartItem("a", 1, 9, None, False),)), "c125fe258cc9ed1f2c492b818ee6f22b"),
    (commands.UpdateCartItem("c", "a", 3, 200, True, "north"), "d781e6ad1aad74e7d24fe2540ef22a1c"),
    (commands.UpdateCartItem("c", "a", quantity=3), "d38ebd9da0380ed19284cb62fd4fbc62"),
    (commands.UpdateCartItem("c", "a", quantity=3, etag="e"), "1a6f62169e3d85c5800a7a3b35e85a3d"),
    (commands.UpdateCartItem("c", "a", track_stock=False), "60d55f81d508ad8a9f6a5d98829f96b2"),
    (commands.DeleteCart("c"), "df353b459cac7367d0a91c154c172887"),
    (commands.RemoveExpiredCart("c"), "3f64eed2720731bc56bfb2994ad1fd50"),
    (commands.RemoveCartItem("c", "a"), "ecaa4be769eabf1c83cc1a7aa292b0e8"),
    (commands.Checkout("c", "o"), "cce718d923f38af91c3c6a75c9494a96"),
    (order_commands.CancelOrder("o"), "44d2f412d94a0682bd27e397f6203d83"),
    (order_commands.CancelOrder("o", "o2"), "204f04e7e92bb8309848df520482decf"),
    (order_commands.ShipOrder("o", "s", (LineUnits(1, 2),)), "49c870c21a210543bcbae9ec19e042d2"),
    (order_commands.ReturnOrderItems("o", "r", (LineUnits(1, 2),), True), "febfdd1fcc8bca8e1a9b35f86db185a5"),
    (order_commands.ShipOrder("o", "s"), "d644d40e072a19c0002c285c70746ef6"),
    (BeginPayment("o", "p", 300, "card", "op", "hold", 12.0), "37d43545fb01741296f81946f65edfc0"),
    (
        BeginPayment("o", "p", 300, "card", "op", "hold", 12.0, kind=OperationKind.AUTHORIZE),
        "bf1aebf8461dcd1945de631560f0435e",
    ),
    (BeginCapture("o", "p", "op", 12.0, amount_minor=300), "e89630e6e8189a69affb725c1c8b1f28"),
    (BeginVoid("o", "p", "op", 12.0), "9cb04c21a726d7471cf99f97478e0483"),
    (
        BeginRefund("o", "p", "op", 12.0, refund_id="f", amount_minor=300),
        "bd070b7ddc47aae7fc6186e5e4b71319",
    ),
    (BeginConfirm("o", "p", "op", 12.0, reservation_id="hold"), "307e8b203e9f7859587c95d7787c1444"),
    (
        ResolvePayment("o", "p", "op", OperationState.DECLINED, "the gateway's page"),
        "3437120ed48a232ff8a461f013055dfa",
    ),
    (
        SettlePayment("o", "p", "op", OperationState.ACCEPTED, "ref", "why"),
        "9148e6e766660c97d94c738b7e542475",
    ),
    (ClaimOperation("o", "p", "op", 12.0), "a49aebb2266e874eae56a670d41e8e16"),
    (commands.ForgetAnswers(24), "11355c76053bdf97c9cf235eb16569bd"),
    (
        import_commands.CreateImport("i", "u", 2, 0, b"rows", 2, True, "count", "#7"),
        "d0c8e8d2858a31874c663c31e0261b6b",
    ),
    (import_commands.ImportChunk("i", "", ROWS, True), "a0754cb061b12bbed7fcff7807d78e0d"),
    (import_commands.FailImport("i", "why"), "3315af851db78c688919d1a650c6d162"),
]

# The id that a row is found by is no content: it is what the content belongs to.
KEYS = {
    commands.ReserveStock: {"reservation_id"},
    ReturnReservationItems: {"return_id"},
    commands.CreateCart: {"cart_id"},
    commands.Checkout: {"order_id"},
    order_commands.CancelOrder: {"reservation_id"},
    order_commands.ShipOrder: {"shipment_id"},
    order_commands.ReturnOrderItems: {"return_id"},
    # The server's own ids and what it is started with differ from try to try.
    BeginPayment: {"payment_id", "operation_id", "reservation_id", "lease_s", "has_gateway"},
    BeginCapture: {"order_id", "operation_id", "lease_s", "has_gateway"},
    BeginVoid: {"order_id", "operation_id", "lease_s", "has_gateway"},
    BeginRefund: {"order_id", "operation_id", "lease_s", "has_gateway", "refund_id"},
    BeginConfirm: {"order_id", "operation_id", "lease_s", "has_gateway", "reservation_id", "or_void"},
    # The payment's own order.
    ResolvePayment: {"order_id"},
    # Found by compare-and-set; never compared by content.
    SettlePayment: {
        "order_id",
        "payment_id",
        "gateway_reference",
        "failure_reason",
        "lapsed",
        "reversal_id",
        "lease_s",
    },
    ClaimOperation: {"order_id", "payment_id", "lease_s", "poll_s"},
    import_commands.CreateImport: {"import_id", "upload_id", "failed_count", "announced_count", "is_closed"},
    import_commands.ImportChunk: {"rows", "is_last"},
}

FULL: list[Command] = [
    commands.CreateStock("a", 5, "north", 2),
    UpdateStoreSettings((("default_hold_s", 60), ("cart_expiry_s", 90)), "tag"),
    commands.UpdateStock("a", True, 2, "tag"),
    commands.DeleteStock("a", "tag"),
    commands.CreateStockTransaction("a", Action.SET, 5, "north", "count", "#7", 3),
    CreateLocation(NORTH),
    UpdateLocation("north", (("name", "N"), ("enabled", True)), "etag"),
    DeleteLocation("north", "etag"),
    TransferStock("a", 3, "north", "south", "empty", "#7", 2),
    commands.ReserveStock("r", LINES, "o", 60.0, NOON, True),
    commands.ConfirmReservation("r"),
    commands.ReleaseReservation("r", "no show", "#7"),
    commands.FulfillReservation("r", UNITS, "counter", "#7"),
    ReturnReservationItems("r", "x", UNITS, True, "north", "wrong size", "#7"),
    ExtendReservation("r", 60.0, NOON, True),
    commands.ExpireReservation("r"),
    commands.CreateCart("c", "EUR", True),
    commands.AddCartItems("c", ITEMS),
    commands.UpdateCartItem("c", "a", 3, 200, True, "north", "e", True),
    commands.DeleteCart("c", "e"),
    commands.RemoveExpiredCart("c"),
    commands.RemoveCartItem("c", "a"),
    commands.Checkout("c", "o"),
    order_commands.CancelOrder("o", "o2", "hold"),
    order_commands.ShipOrder("o", "s", (LineUnits(1, 2), LineUnits(2, 1))),
    order_commands.ReturnOrderItems(
        "o", "r", (LineUnits(1, 2), LineUnits(2, 1)), True, "north", "broken", "#7"
    ),
    BeginPayment("o", "p", 300, "card", "op", "hold", 12.0),
    BeginCapture("o", "p", "op", 12.0, amount_minor=300),
    BeginVoid("o", "p", "op", 12.0),
    BeginRefund("o", "p", "op", 12.0, refund_id="f", amount_minor=300),
    BeginConfirm("o", "p", "op", 12.0, reservation_id="hold"),
    ResolvePayment("o", "p", "op", OperationState.DECLINED, "the gateway's page"),
    SettlePayment("o", "p", "op", OperationState.ACCEPTED, "ref", "why"),
    ClaimOperation("o", "p", "op", 12.0),
    commands.ForgetAnswers(24),
    import_commands.CreateImport("i", "u", 2, 0, b"rows", 2, True, "count", "#7"),
    import_commands.ImportChunk("i", "", ROWS, True),
    import_commands.FailImport("i", "why"),
]


@pytest.mark.parametrize(("command", "golden"), GOLDEN, ids=lambda value: type(value).__name__)
def test_hashes_never_change(command: Command, golden: str) -> None:
    """A hash that was written with a row is the hash of the same content for ever."""
    assert content_hash(command).hex() == golden


@pytest.mark.parametrize("command", FULL, ids=lambda command: type(command).__name__)
def test_each_field_counts(command: Any) -> None:
    """Content differs as soon as one field does; the id of the row itself is no part of it."""
    keys = KEYS.get(type(command), set())
    for field in fields(command):
        changed = replace(command, **{field.name: other(getattr(command, field.name))})
        same = content_hash(changed) == content_hash(command)
        assert same == (field.name in keys), field.name


def other(value: Any) -> Any:
    """Return another value of the same kind."""
    if isinstance(value, Action | OperationKind | OperationState):
        return next(member for member in type(value) if member is not value)
    if isinstance(value, datetime):
        return value.replace(microsecond=1)
    if isinstance(value, tuple):
        return value[:1]
    if isinstance(value, bytes):
        return value + b"x"
    return value + "x" if isinstance(value, str) else not value if value is True else value + 1


@pytest.mark.parametrize(
    ("one", "another"),
    [
        # A text that looks like the border between two fields.
        (commands.RemoveCartItem("c', 'a", "b"), commands.RemoveCartItem("c", "a', 'b")),
        (commands.ConfirmReservation("r"), commands.ReleaseReservation("r")),
        (commands.ReserveStock("r", LINES), commands.ReserveStock("r", LINES[::-1])),
        (commands.ReserveStock("r", LINES), commands.ReserveStock("r", LINES, ttl_s=900.0)),
        (
            commands.UpdateCartItem("c", "a", set_location=True),
            commands.UpdateCartItem("c", "a", set_location=True, location="None"),
        ),
        (
            commands.UpdateCartItem("c", "a", etag="True"),
            commands.UpdateCartItem("c", "a", track_stock=True),
        ),
        (
            commands.AddCartItems("c", (CartItem("a", 1, 23, None),)),
            commands.AddCartItems("c", (CartItem("a", 12, 3, None),)),
        ),
    ],
)
def test_near_misses_differ(one: Command, another: Command) -> None:
    """Contents that look alike when written side by side are told apart."""
    assert content_hash(one) != content_hash(another)


def test_every_command_is_here() -> None:
    """A new command comes with its golden hash."""
    known = {type(command) for command, _ in GOLDEN}
    declared = {
        value
        for module in MODULES
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Command) and not value.__name__.startswith("_")
    }
    assert declared - {Command} == known == {type(command) for command in FULL}


def test_a_hash_that_is_kept_is_that_of_the_content() -> None:
    """What Python calls equal may be written otherwise: it is another content, whichever was hashed first."""
    whole, half = (commands.ReserveStock("r", LINES, ttl_s=ttl_s) for ttl_s in (1, 1.0))
    assert whole == half
    assert content_hash(whole) != content_hash(half)
    # Another reservation that asks for the same has the same, and one that asks for other lines has not.
    assert content_hash(whole) == content_hash(replace(whole, reservation_id="s"))
    assert content_hash(whole) != content_hash(replace(whole, lines=LINES[:1]))
