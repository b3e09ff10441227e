import { Effect } from "effect"
import type { Dispatcher } from "undici"

/** A complete answer, whatever its status. */
export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | Array<string> | undefined>>
  readonly body: string
}

/** Longer answers are given up: no object in Kubernetes is larger than 3 MiB. */
export const maxBodyBytes = 8 * 1024 * 1024

/** The code of the error for an answer of more than {@link maxBodyBytes}. */
export const answerTooLong = "ANSWER_TOO_LONG"

/** Why there was no complete answer, and whether anything of the request may have reached the server. */
export interface Broken {
  readonly error: Error
  readonly isSent: boolean
}

/**
 * Sends one request and reads the whole answer.
 *
 * `onSent` is called when a connection stands and the request goes out on it; before that, nothing has left. Interruption
 * closes the connection at once, or keeps the request from ever being sent.
 */
export const exchange = (
  dispatcher: Dispatcher,
  options: Dispatcher.DispatchOptions,
  onSent: () => void
): Effect.Effect<Answer, Broken> =>
  Effect.callback<Answer, Broken>((resume) => {
    let controller: Dispatcher.DispatchController | undefined
    let isInterrupted = false
    let status = 0
    let headers: Answer["headers"] = {}
    let bodyBytes = 0
    const chunks: Array<Buffer> = []

    dispatcher.dispatch(options, {
      onRequestStart(started) {
        if (isInterrupted) {
          started.abort(new Error("interrupted"))
          return
        }
        controller = started
        onSent()
      },
      onResponseStart(_, statusCode, responseHeaders) {
        status = statusCode
        headers = responseHeaders
      },
      onResponseData(running, chunk) {
        bodyBytes += chunk.length
        if (bodyBytes <= maxBodyBytes) chunks.push(chunk)
        else running.abort(Object.assign(new Error(), { code: answerTooLong }))
      },
      onResponseEnd() {
        const answer = { status, headers, body: Buffer.concat(chunks).toString() }
        // undici takes this connection for busy until a timer that it sets after this call: whoever sent the next request
        // before would open a second connection for it.
        queueMicrotask(() => setImmediate(() => resume(Effect.succeed(answer))))
      },
      onResponseError(_, error) {
        resume(Effect.fail({ error, isSent: controller !== undefined }))
      }
    })

    return Effect.sync(() => {
      isInterrupted = true
      controller?.abort(new Error("interrupted"))
    })
  })
