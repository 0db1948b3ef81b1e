package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sort"
	"time"

	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	v1 "github.com/inventory-service/inventory-go/inventory/v1"
)

// line is what a step prints.
type line map[string]any

// scenario is what the steps share.
type scenario struct {
	inventory v1.InventoryServiceClient
	out       *json.Encoder
	held      string // the reservation that won the race
}

func teaRequest() *v1.CreateStockRequest {
	return &v1.CreateStockRequest{ProductId: "tea", Quantity: proto.Int64(1), RequestId: "create-tea"}
}

func tea(quantity int64) []*v1.LineRequest {
	return []*v1.LineRequest{{ProductId: "tea", Quantity: &quantity}}
}

func (s *scenario) createStock(ctx context.Context) error {
	answer, err := s.inventory.CreateStock(ctx, teaRequest())
	if err != nil {
		return err
	}
	stock := answer.Stock
	return s.out.Encode(line{
		"step": "create_stock", "available": stock.Available, "allocated": stock.Allocated, "replayed": answer.Replayed,
	})
}

func (s *scenario) raceForTheLastUnit(ctx context.Context) error {
	type outcome struct {
		id  string
		err error
	}
	outcomes := make(chan outcome)
	for _, id := range []string{"r-1", "r-2"} {
		go func() {
			_, err := s.inventory.ReserveStock(ctx, &v1.ReserveStockRequest{ReservationId: id, Lines: tea(1)})
			outcomes <- outcome{id, err}
		}()
	}
	var lost []error
	for range 2 {
		if came := <-outcomes; came.err == nil {
			s.held = came.id
		} else {
			lost = append(lost, came.err)
		}
	}
	if err := s.out.Encode(line{"step": "race", "held": 2 - len(lost), "refused": len(lost)}); err != nil {
		return err
	}
	if len(lost) != 1 {
		return fmt.Errorf("one of two had to win: %v", lost)
	}
	refused, err := refusalOf(lost[0])
	if err != nil {
		return err
	}
	shortages := []line{}
	for _, short := range refused.shortages {
		shortages = append(shortages, line{
			"product_id": short.ProductId, "location": short.Location, "requested": short.Requested,
			"available": short.Available, "managed": short.Managed,
		})
	}
	return s.out.Encode(line{
		"step": "shortage", "code": refused.code, "reason": refused.info.Reason, "domain": refused.info.Domain,
		"shortages": shortages,
	})
}

func (s *scenario) confirm(ctx context.Context) error {
	answer, err := s.inventory.ConfirmReservation(
		ctx, &v1.ConfirmReservationRequest{ReservationId: s.held, RequestId: "confirm"},
	)
	if err != nil {
		return err
	}
	return s.out.Encode(line{"step": "confirm", "state": answer.Reservation.State.String(), "replayed": answer.Replayed})
}

func (s *scenario) repeat(ctx context.Context) error {
	answer, err := s.inventory.CreateStock(ctx, teaRequest())
	if err != nil {
		return err
	}
	return s.out.Encode(line{"step": "repeat", "available": answer.Stock.Available, "replayed": answer.Replayed})
}

func (s *scenario) readErrors(ctx context.Context) error {
	reused := teaRequest()
	reused.Quantity = proto.Int64(2)
	_, reusedErr := s.inventory.CreateStock(ctx, reused)
	_, missingErr := s.inventory.GetStock(ctx, &v1.GetStockRequest{ProductId: "nothing"})
	_, invalidErr := s.inventory.CreateStock(ctx, &v1.CreateStockRequest{ProductId: "cup", RequestId: "create-cup"})
	for _, asked := range []struct {
		step string
		err  error
	}{{"id_reused", reusedErr}, {"error_info", missingErr}, {"bad_request", invalidErr}} {
		refused, err := refusalOf(asked.err)
		if err != nil {
			return err
		}
		told := line{"step": asked.step, "code": refused.code, "reason": refused.info.Reason}
		if refused.fields == nil {
			told["metadata"] = refused.info.Metadata
		} else {
			told["fields"] = refused.fields
		}
		if err := s.out.Encode(told); err != nil {
			return err
		}
	}
	return nil
}

func (s *scenario) increment(ctx context.Context, requestID string) error {
	_, err := s.inventory.CreateStockTransaction(ctx, &v1.CreateStockTransactionRequest{
		ProductId: "tea", Action: v1.StockAction_STOCK_ACTION_INCREMENT, Quantity: proto.Int64(1), RequestId: requestID,
	})
	return err
}

func (s *scenario) pageThroughTheLog(ctx context.Context) error {
	for number := 1; number <= 5; number++ {
		if err := s.increment(ctx, fmt.Sprintf("more-%d", number)); err != nil {
			return err
		}
	}
	sizes, actions := []int{}, []string{}
	request := &v1.ListStockTransactionsRequest{ProductId: "tea", PageSize: 3}
	for {
		page, err := s.inventory.ListStockTransactions(ctx, request)
		if err != nil {
			return err
		}
		sizes = append(sizes, len(page.StockTransactions))
		for _, entry := range page.StockTransactions {
			actions = append(actions, entry.Action.String())
		}
		if page.NextPageToken == "" {
			return s.out.Encode(line{"step": "log", "page_sizes": sizes, "actions": actions})
		}
		request.PageToken = page.NextPageToken
	}
}

func (s *scenario) streamReservations(ctx context.Context) error {
	stream, err := s.inventory.ReserveStockStream(ctx)
	if err != nil {
		return err
	}
	for _, ids := range [][]string{{"s-1", "s-2"}, {"s-3"}} {
		items := []*v1.ReserveStockItem{}
		for _, id := range ids {
			items = append(items, &v1.ReserveStockItem{ItemId: id, ReservationId: id, Lines: tea(2)})
		}
		if err := stream.Send(&v1.ReserveStockStreamRequest{Items: items}); err != nil {
			return err
		}
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	verdicts := []line{}
	for {
		message, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		for _, verdict := range message.Verdicts {
			if held := verdict.GetResult(); held != nil {
				verdicts = append(verdicts, line{"item_id": verdict.ItemId, "state": held.State.String()})
				continue
			}
			refused, err := refusalOf(status.ErrorProto(verdict.GetError()))
			if err != nil {
				return err
			}
			verdicts = append(verdicts, line{"item_id": verdict.ItemId, "reason": refused.info.Reason})
		}
	}
	sort.Slice(verdicts, func(i, j int) bool {
		return verdicts[i]["item_id"].(string) < verdicts[j]["item_id"].(string)
	})
	return s.out.Encode(line{"step": "stream", "verdicts": verdicts})
}

// watch reads the log from its beginning, breaks off after the first changes, and goes on from their token.
func (s *scenario) watch(ctx context.Context) error {
	versions, token, err := s.watchUntil(ctx, 1, &v1.WatchStockRequest{
		ProductIds: []string{"tea"}, Start: &v1.WatchStockRequest_FromBeginning{FromBeginning: true},
	})
	if err != nil {
		return err
	}
	if err := s.increment(ctx, "more-6"); err != nil {
		return err
	}
	rest, _, err := s.watchUntil(ctx, 10, &v1.WatchStockRequest{
		ProductIds: []string{"tea"}, Start: &v1.WatchStockRequest_ResumeToken{ResumeToken: token},
	})
	if err != nil {
		return err
	}
	return s.out.Encode(line{"step": "watch", "versions": append(versions, rest...), "resumed": len(rest) > 0})
}

// watchUntil reads until an entry has this version or a later one; it returns the versions and the last token.
func (s *scenario) watchUntil(
	ctx context.Context, version int64, request *v1.WatchStockRequest,
) (versions []int64, token string, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := s.inventory.WatchStock(ctx, request)
	if err != nil {
		return nil, "", err
	}
	for len(versions) == 0 || versions[len(versions)-1] < version {
		message, err := stream.Recv()
		if err != nil {
			return nil, "", err
		}
		for _, change := range message.Changes {
			versions = append(versions, change.Version)
		}
		token = message.ResumeToken
	}
	return versions, token, nil
}

// hitADeadline watches for longer than its deadline lets it.
func (s *scenario) hitADeadline(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	stream, err := s.inventory.WatchStock(ctx, &v1.WatchStockRequest{ProductIds: []string{"nothing"}})
	for err == nil {
		_, err = stream.Recv()
	}
	return s.out.Encode(line{"step": "deadline", "code": int(status.Code(err))})
}

func (s *scenario) readStock(ctx context.Context) error {
	answer, err := s.inventory.GetStock(ctx, &v1.GetStockRequest{ProductId: "tea"})
	if err != nil {
		return err
	}
	return s.out.Encode(line{
		"step": "stock", "available": answer.Stock.Available, "allocated": answer.Stock.Allocated,
	})
}
