//! The steps, one function each; what a step prints is in tests/clients/vectors.json.

use std::time::Duration;

use serde_json::{Value, json};
use tonic::{Request, service::interceptor::InterceptedService, transport::Channel};

use crate::{
    Failure, InStore,
    calls::call,
    refusal::{refusal_of, refused},
    v1::{
        ConfirmReservationRequest, CreateStockRequest, CreateStockTransactionRequest, GetStockRequest,
        LineRequest, ListStockTransactionsRequest, ReserveStockItem, ReserveStockRequest,
        ReserveStockStreamRequest, StockAction, WatchStockRequest,
        inventory_service_client::InventoryServiceClient, reserve_stock_verdict::Verdict,
        watch_stock_request::Start,
    },
};

/// The generated client, whose calls name their store.
pub type Inventory = InventoryServiceClient<InterceptedService<Channel, InStore>>;

const DEADLINE: Duration = Duration::from_millis(500);

pub async fn run(inventory: Inventory) -> Result<(), Failure> {
    create_stock(inventory.clone()).await?;
    let held = race_for_the_last_unit(&inventory).await?;
    confirm(inventory.clone(), held).await?;
    repeat(inventory.clone()).await?;
    read_errors(inventory.clone()).await?;
    page_through_the_log(inventory.clone()).await?;
    stream_reservations(inventory.clone()).await?;
    watch(inventory.clone()).await?;
    hit_a_deadline(inventory.clone()).await?;
    read_stock(inventory).await
}

fn tea_request() -> CreateStockRequest {
    CreateStockRequest {
        product_id: "tea".into(),
        quantity: Some(1),
        request_id: "create-tea".into(),
        ..Default::default()
    }
}

fn tea(quantity: i64) -> Vec<LineRequest> {
    vec![LineRequest { product_id: "tea".into(), quantity: Some(quantity), ..Default::default() }]
}

async fn create_stock(mut inventory: Inventory) -> Result<(), Failure> {
    let answer = call(tea_request(), async |request| inventory.create_stock(request).await).await?;
    let stock = answer.stock.unwrap_or_default();
    let (available, allocated) = (stock.available, stock.allocated);
    let replayed = answer.replayed;
    println!(
        "{}",
        json!({"step": "create_stock", "available": available, "allocated": allocated, "replayed": replayed})
    );
    Ok(())
}

async fn race_for_the_last_unit(inventory: &Inventory) -> Result<String, Failure> {
    let reserve = async |id: &str| {
        let mut inventory = inventory.clone();
        let request = ReserveStockRequest { reservation_id: id.into(), lines: tea(1), ..Default::default() };
        call(request, async |request| inventory.reserve_stock(request).await).await
    };
    let (one, other) = tokio::join!(reserve("r-1"), reserve("r-2"));
    let held = [&one, &other].iter().filter(|end| end.is_ok()).count();
    println!("{}", json!({"step": "race", "held": held, "refused": 2 - held}));
    let (winner, loser) = match (one, other) {
        (Ok(_), Err(lost)) => ("r-1", lost),
        (Err(lost), Ok(_)) => ("r-2", lost),
        _ => return Err("one of two had to win".into()),
    };
    let refusal = refused::<()>(Err(loser))?;
    let shortages: Vec<Value> = refusal
        .shortages
        .iter()
        .map(|short| {
            json!({
                "product_id": short.product_id, "location": short.location, "requested": short.requested,
                "available": short.available, "managed": short.managed,
            })
        })
        .collect();
    println!(
        "{}",
        json!({
            "step": "shortage", "code": refusal.code, "reason": refusal.info.reason, "domain": refusal.info.domain,
            "shortages": shortages,
        })
    );
    Ok(winner.into())
}

async fn confirm(mut inventory: Inventory, reservation_id: String) -> Result<(), Failure> {
    let request = ConfirmReservationRequest { reservation_id, request_id: "confirm".into() };
    let answer = call(request, async |request| inventory.confirm_reservation(request).await).await?;
    let state = answer.reservation.unwrap_or_default().state().as_str_name();
    println!("{}", json!({"step": "confirm", "state": state, "replayed": answer.replayed}));
    Ok(())
}

async fn repeat(mut inventory: Inventory) -> Result<(), Failure> {
    let answer = call(tea_request(), async |request| inventory.create_stock(request).await).await?;
    let available = answer.stock.unwrap_or_default().available;
    println!("{}", json!({"step": "repeat", "available": available, "replayed": answer.replayed}));
    Ok(())
}

async fn read_errors(mut inventory: Inventory) -> Result<(), Failure> {
    let request = CreateStockRequest { quantity: Some(2), ..tea_request() };
    let reused = refused(call(request, async |request| inventory.create_stock(request).await).await)?;
    let metadata = reused.info.metadata;
    println!(
        "{}",
        json!({"step": "id_reused", "code": reused.code, "reason": reused.info.reason, "metadata": metadata})
    );
    let request = GetStockRequest { product_id: "nothing".into(), ..Default::default() };
    let missing = refused(call(request, async |request| inventory.get_stock(request).await).await)?;
    let metadata = missing.info.metadata;
    println!(
        "{}",
        json!({"step": "error_info", "code": missing.code, "reason": missing.info.reason, "metadata": metadata})
    );
    let request = CreateStockRequest {
        product_id: "cup".into(),
        request_id: "create-cup".into(),
        ..Default::default()
    };
    let invalid = refused(call(request, async |request| inventory.create_stock(request).await).await)?;
    println!(
        "{}",
        json!({
            "step": "bad_request", "code": invalid.code, "reason": invalid.info.reason, "fields": invalid.fields,
        })
    );
    Ok(())
}

async fn increment(inventory: &mut Inventory, request_id: String) -> Result<(), Failure> {
    let request = CreateStockTransactionRequest {
        product_id: "tea".into(),
        action: StockAction::Increment.into(),
        quantity: Some(1),
        request_id,
        ..Default::default()
    };
    call(request, async |request| inventory.create_stock_transaction(request).await).await?;
    Ok(())
}

async fn page_through_the_log(mut inventory: Inventory) -> Result<(), Failure> {
    for number in 1..=5 {
        increment(&mut inventory, format!("more-{number}")).await?;
    }
    let (mut sizes, mut actions) = (vec![], vec![]);
    let mut request =
        ListStockTransactionsRequest { product_id: "tea".into(), page_size: 3, ..Default::default() };
    loop {
        let page =
            call(request.clone(), async |request| inventory.list_stock_transactions(request).await).await?;
        sizes.push(page.stock_transactions.len());
        actions.extend(page.stock_transactions.iter().map(|entry| entry.action().as_str_name()));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    println!("{}", json!({"step": "log", "page_sizes": sizes, "actions": actions}));
    Ok(())
}

async fn stream_reservations(mut inventory: Inventory) -> Result<(), Failure> {
    let messages = [vec!["s-1", "s-2"], vec!["s-3"]].map(|ids| ReserveStockStreamRequest {
        items: ids
            .into_iter()
            .map(|id| ReserveStockItem {
                item_id: id.into(),
                reservation_id: id.into(),
                lines: tea(2),
                ..Default::default()
            })
            .collect(),
    });
    let mut stream = inventory.reserve_stock_stream(tokio_stream::iter(messages)).await?.into_inner();
    let mut verdicts = vec![];
    while let Some(message) = stream.message().await? {
        for told in message.verdicts {
            let item_id = told.item_id;
            verdicts.push(match told.verdict.ok_or("a verdict was expected")? {
                Verdict::Result(held) => json!({"item_id": item_id, "state": held.state().as_str_name()}),
                Verdict::Error(status) => {
                    json!({"item_id": item_id, "reason": refusal_of(&status)?.info.reason})
                }
            });
        }
    }
    verdicts.sort_by_key(|verdict| verdict["item_id"].to_string());
    println!("{}", json!({"step": "stream", "verdicts": verdicts}));
    Ok(())
}

/// Reads the log from its beginning, breaks off after the first changes, and goes on from their token.
async fn watch(mut inventory: Inventory) -> Result<(), Failure> {
    let (mut versions, token) = watch_until(&mut inventory, 1, Start::FromBeginning(true)).await?;
    increment(&mut inventory, "more-6".into()).await?;
    let (rest, _) = watch_until(&mut inventory, 10, Start::ResumeToken(token)).await?;
    versions.extend(&rest);
    println!("{}", json!({"step": "watch", "versions": versions, "resumed": !rest.is_empty()}));
    Ok(())
}

/// Reads until an entry has this version or a later one; returns the versions and the last token.
async fn watch_until(
    inventory: &mut Inventory,
    version: i64,
    start: Start,
) -> Result<(Vec<i64>, String), Failure> {
    let request = WatchStockRequest { product_ids: vec!["tea".into()], start: Some(start) };
    let mut stream = inventory.watch_stock(request).await?.into_inner();
    let mut versions = vec![];
    while let Some(message) = stream.message().await? {
        versions.extend(message.changes.iter().map(|change| change.version));
        if versions.last().is_some_and(|last| *last >= version) {
            return Ok((versions, message.resume_token));
        }
    }
    Err("the watch ended".into())
}

/// Watches for longer than its deadline lets it.
async fn hit_a_deadline(mut inventory: Inventory) -> Result<(), Failure> {
    let mut request = Request::new(WatchStockRequest { product_ids: vec!["nothing".into()], start: None });
    request.set_timeout(DEADLINE);
    let end = async {
        let mut stream = inventory.watch_stock(request).await?.into_inner();
        while stream.message().await?.is_some() {}
        Ok::<(), tonic::Status>(())
    };
    let code = end.await.err().map(|status| status.code() as i32);
    println!("{}", json!({"step": "deadline", "code": code}));
    Ok(())
}

async fn read_stock(mut inventory: Inventory) -> Result<(), Failure> {
    let request = GetStockRequest { product_id: "tea".into(), ..Default::default() };
    let answer = call(request, async |request| inventory.get_stock(request).await).await?;
    let stock = answer.stock.unwrap_or_default();
    println!("{}", json!({"step": "stock", "available": stock.available, "allocated": stock.allocated}));
    Ok(())
}
