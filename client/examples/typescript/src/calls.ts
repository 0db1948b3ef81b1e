// Unary calls as promises, each with a deadline, and streams as what `for await` reads.

import type { CallOptions, ClientReadableStream, ClientUnaryCall, Metadata, ServiceError } from "@grpc/grpc-js";

// All attempts of a call together. In a service 5 s are usual; here the machine may be busy.
const CALL_TIMEOUT_MS = 60_000;

type Unary<Request, Answer> = (
  request: Request,
  metadata: Metadata,
  options: Partial<CallOptions>,
  callback: (error: ServiceError | null, answer: Answer) => void,
) => ClientUnaryCall;

/** Makes of a client's method one that answers a promise. */
export function unary<Request, Answer>(
  client: object,
  method: Unary<Request, Answer>,
  metadata: Metadata,
): (request: Request) => Promise<Answer> {
  return (request) =>
    new Promise((resolve, reject) => {
      const options = { deadline: Date.now() + CALL_TIMEOUT_MS };
      method.call(client, request, metadata, options, (error, answer) => (error ? reject(error) : resolve(answer)));
    });
}

/** Reads a stream's messages until it ends or the reader breaks off, which cancels the call. */
export async function* messagesOf<Answer>(stream: ClientReadableStream<Answer>): AsyncGenerator<Answer> {
  try {
    for await (const message of stream) {
      yield message as Answer;
    }
  } finally {
    stream.on("error", () => {}); // CANCELLED, where we did it ourselves
    stream.cancel();
  }
}
