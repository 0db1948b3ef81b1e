//! Why a call was refused, read from the details of its status.

use prost::Message;
use tonic::Status;
use tonic_types::pb;

use crate::{Failure, v1::StockShortage};

/// A refusal with its reason.
#[derive(Default)]
pub struct Refusal {
    pub code: i32,
    pub info: pb::ErrorInfo,
    pub fields: Vec<String>,
    pub shortages: Vec<StockShortage>,
}

/// Reads the end of a call that has to be refused.
pub fn refused<Answer>(end: Result<Answer, Status>) -> Result<Refusal, Failure> {
    let status = end.err().ok_or("a refusal was expected")?;
    refusal_of(&pb::Status::decode(status.details())?)
}

/// Reads a google.rpc.Status: that of a call, or that of an item.
pub fn refusal_of(status: &pb::Status) -> Result<Refusal, Failure> {
    let mut refusal = Refusal { code: status.code, ..Refusal::default() };
    for detail in &status.details {
        let bytes = detail.value.as_slice();
        match detail.type_url.rsplit('/').next() {
            Some("google.rpc.ErrorInfo") => refusal.info = pb::ErrorInfo::decode(bytes)?,
            Some("google.rpc.BadRequest") => {
                let violations = pb::BadRequest::decode(bytes)?.field_violations;
                refusal.fields.extend(violations.into_iter().map(|violation| violation.field));
            }
            Some("inventory.v1.StockShortage") => refusal.shortages.push(StockShortage::decode(bytes)?),
            _ => {}
        }
    }
    if refusal.info.reason.is_empty() {
        return Err(format!("no reason came with {}", status.message).into());
    }
    Ok(refusal)
}
