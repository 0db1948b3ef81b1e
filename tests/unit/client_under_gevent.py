"""Run by test_client_channel: eight calls at once, from greenlets of one thread; then a refused one."""
# ruff: noqa: E402, T201 - gevent must patch before anything else is imported; what is printed is the result

from gevent import monkey

monkey.patch_all()

import sys

import gevent.pool
import grpc.experimental.gevent

grpc.experimental.gevent.init_gevent()

import inventory_client
from inventory_client import v1

with inventory_client.connect(sys.argv[1], timeout_s=60) as client:

    def call(_: int) -> v1.CreateStockTransactionResponse:
        return client.inventory.CreateStockTransaction(v1.CreateStockTransactionRequest(product_id="tea"))

    answers = gevent.pool.Pool(8).map(call, range(8))
    print(len(answers), "answered")
    try:
        call(9)
    except inventory_client.InventoryError as error:
        print(type(error).__name__)
