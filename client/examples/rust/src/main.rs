//! The conformance scenario of tests/clients/scenario.md: scenario ADDRESS STORE prints a JSON line for each step.

use std::{env, time::Duration};

use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::Endpoint,
};

use scenario::Inventory;

mod calls;
mod refusal;
mod scenario;

/// The generated stubs.
pub mod v1 {
    tonic::include_proto!("inventory.v1");
}

type Failure = Box<dyn std::error::Error>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = env::args().collect();
    let [_, address, store] = arguments.as_slice() else {
        return Err("usage: scenario ADDRESS STORE".into());
    };
    let channel = Endpoint::from_shared(format!("http://{address}"))?
        .http2_keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(10))
        .connect()
        .await?;
    scenario::run(Inventory::new(InterceptedService::new(channel, InStore(store.parse()?)))).await
}

/// Names the store in the metadata of every call.
#[derive(Clone)]
pub struct InStore(MetadataValue<Ascii>);

impl Interceptor for InStore {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("x-inventory-store", self.0.clone());
        Ok(request)
    }
}
