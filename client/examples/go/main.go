// The conformance scenario of tests/clients/scenario.md: scenario ADDRESS STORE prints a JSON line for each step.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"

	v1 "github.com/inventory-service/inventory-go/inventory/v1"
)

// Every call may be repeated, so UNAVAILABLE is tried again; docs/clients.md has the reasons for the numbers.
const serviceConfig = `{
	"methodConfig": [{
		"name": [{"service": "inventory.v1.InventoryService"}],
		"retryPolicy": {
			"maxAttempts": 5, "initialBackoff": "0.1s", "maxBackoff": "1s", "backoffMultiplier": 2,
			"retryableStatusCodes": ["UNAVAILABLE"]
		}
	}],
	"retryThrottling": {"maxTokens": 1000, "tokenRatio": 0.1}
}`

// callTimeout is the deadline of a call, all its attempts together. In a service 5 s are usual; here the machine
// may be busy.
const callTimeout = 60 * time.Second

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: scenario ADDRESS STORE")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(address, store string) error {
	connection, err := grpc.NewClient(
		address,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultServiceConfig(serviceConfig),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 20 * time.Second, Timeout: 10 * time.Second}),
		grpc.WithUnaryInterceptor(withDeadline),
	)
	if err != nil {
		return err
	}
	defer connection.Close()

	ctx := metadata.AppendToOutgoingContext(context.Background(), "x-inventory-store", store)
	s := &scenario{inventory: v1.NewInventoryServiceClient(connection), out: json.NewEncoder(os.Stdout)}
	for _, step := range []func(context.Context) error{
		s.createStock, s.raceForTheLastUnit, s.confirm, s.repeat, s.readErrors, s.pageThroughTheLog,
		s.streamReservations, s.watch, s.hitADeadline, s.readStock,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// withDeadline gives each call that has none a deadline of its own. A stream lasts as long as it is wanted.
func withDeadline(ctx context.Context, method string, request, answer any, connection *grpc.ClientConn,
	invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
	if _, named := ctx.Deadline(); !named {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, callTimeout)
		defer cancel()
	}
	return invoke(ctx, method, request, answer, connection, options...)
}
