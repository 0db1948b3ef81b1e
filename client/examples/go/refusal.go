package main

import (
	"fmt"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/status"

	v1 "github.com/inventory-service/inventory-go/inventory/v1"
)

// refusal is why a call was not answered OK.
type refusal struct {
	code      int
	info      *errdetails.ErrorInfo
	fields    []string
	shortages []*v1.StockShortage
}

// refusalOf reads the details of a status; it fails where the call was answered, or no reason came with it.
func refusalOf(err error) (*refusal, error) {
	refused, isStatus := status.FromError(err)
	if err == nil || !isStatus {
		return nil, fmt.Errorf("a refusal was expected, not %v", err)
	}
	found := &refusal{code: int(refused.Code())}
	for _, detail := range refused.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			found.info = detail
		case *errdetails.BadRequest:
			for _, violation := range detail.FieldViolations {
				found.fields = append(found.fields, violation.Field)
			}
		case *v1.StockShortage:
			found.shortages = append(found.shortages, detail)
		}
	}
	if found.info == nil {
		return nil, fmt.Errorf("no reason came with it: %w", err)
	}
	return found, nil
}
