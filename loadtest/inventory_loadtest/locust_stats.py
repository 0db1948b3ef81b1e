"""Telling Locust's statistics what happened: its table and its page show every step of the carts."""

from __future__ import annotations

from typing import Protocol

from locust.event import EventHook

from inventory_loadtest.history import Event


class StepFailed(Exception):
    """A call that ended in neither an acknowledgement nor a refusal for want of stock."""


class HasRequestHook(Protocol):
    """locust.event.Events, as far as it is needed here."""

    request: EventHook


def report(events: HasRequestHook, event: Event) -> None:
    """Fire Locust's request event. Sold out stands under a name of its own and is no failure."""
    events.request.fire(  # type: ignore[no-untyped-call]
        request_type="gRPC",
        name=f"{event.step}, sold out" if event.sold_out else str(event.step),
        response_time=(event.ended_s - event.started_s) * 1000,
        response_length=0,
        exception=None if event.ok or event.sold_out else StepFailed(f"{event.reason}: {event.message}"),
        context={},
    )
