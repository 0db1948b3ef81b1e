//! A unary call that has a deadline, and is sent again while its outcome is unknown.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};
use tonic::{Code, Request, Response, Status};

/// All attempts of a call together. In a service 5 s are usual; here the machine may be busy.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);
const ATTEMPTS_MAX: u32 = 5;
const BACKOFF: Duration = Duration::from_millis(100);

/// Sends a request, and the same again on UNAVAILABLE: tonic knows no service config, which would do it.
pub async fn call<Message: Clone, Answer>(
    request: Message,
    mut send: impl AsyncFnMut(Request<Message>) -> Result<Response<Answer>, Status>,
) -> Result<Answer, Status> {
    let deadline = Instant::now() + CALL_TIMEOUT;
    for attempt in 0.. {
        let mut sent = Request::new(request.clone());
        sent.set_timeout(deadline - Instant::now());
        match timeout_at(deadline, send(sent)).await {
            Err(_) => break,
            Ok(Err(status)) if status.code() == Code::Unavailable && attempt + 1 < ATTEMPTS_MAX => {
                sleep(BACKOFF * 2_u32.pow(attempt)).await;
            }
            Ok(end) => return end.map(Response::into_inner),
        }
    }
    Err(Status::deadline_exceeded("the deadline passed"))
}
