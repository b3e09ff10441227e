import { Cause, Effect, Queue, type Scope, Stream } from "effect"
import type { Dispatcher } from "undici"

/** What an answer begins with. */
export interface Head {
  readonly status: number
  readonly headers: Readonly<Record<string, string | Array<string> | undefined>>
}

/** A complete answer, whatever its status. */
export interface Answer extends Head {
  readonly body: string
}

/** An answer that has begun. */
export interface Opened extends Head {
  /** As it arrives, to be read once: while nobody reads, nothing more than one piece is taken off the connection. */
  readonly body: Stream.Stream<Buffer, Broken>
}

/** Longer answers, and longer lines of a stream, are given up: no object in Kubernetes is larger than 3 MiB. */
export const maxBodyBytes = 8 * 1024 * 1024

/** The code of the error for an answer of more than {@link maxBodyBytes}. */
export const answerTooLong = "ANSWER_TOO_LONG"

/** Why there was no complete answer, and whether anything of the request may have reached the server. */
export interface Broken {
  readonly error: Error
  readonly isSent: boolean
}

/** No complete answer has come in time. */
export const timeIsOver = "time is over"

/** See {@link timeIsOver}. */
export type TimeIsOver = typeof timeIsOver

/**
 * Sends one request and reads the whole answer, unless it is told that its time is over.
 *
 * `onSent` is called when a connection stands and the request goes out on it; before that, nothing has left. Interruption
 * closes the connection at once, or keeps the request from ever being sent.
 */
export const exchange = (
  dispatcher: Dispatcher,
  options: Dispatcher.DispatchOptions,
  onSent: () => void,
  limit: (onOver: () => void) => () => void
): Effect.Effect<Answer, Broken | TimeIsOver> =>
  Effect.callback<Answer, Broken | TimeIsOver>((resume) => {
    let controller: Dispatcher.DispatchController | undefined
    let isGivenUp = false
    let status = 0
    let headers: Answer["headers"] = {}
    const body = gather()

    const end = (outcome: Effect.Effect<Answer, Broken | TimeIsOver>) => {
      callOff()
      resume(outcome)
    }
    const giveUp = (why: string) => {
      isGivenUp = true
      controller?.abort(new Error(why))
    }
    const callOff = limit(() => {
      // First of all: whoever goes on may do what lets the next request of undici's queue begin.
      isGivenUp = true
      resume(Effect.fail(timeIsOver))
      giveUp("timed out")
    })

    const handler: Dispatcher.DispatchHandler = {
      onRequestStart(started) {
        if (isGivenUp) {
          started.abort(new Error("given up"))
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
        if (body.length() + chunk.length <= maxBodyBytes) body.add(chunk)
        else running.abort(tooLong())
      },
      onResponseEnd() {
        const answer = { status, headers, body: body.text() }
        // undici takes this connection for busy until a timer that it sets after this call: whoever sent the next request
        // before would open a second connection for it.
        queueMicrotask(() => setImmediate(() => end(Effect.succeed(answer))))
      },
      onResponseError(_, error) {
        end(Effect.fail({ error, isSent: controller !== undefined }))
      }
    }
    // What undici's agent for proxies does not take, it throws.
    try {
      dispatcher.dispatch(options, handler)
    } catch (error) {
      end(Effect.fail({ error: error instanceof Error ? error : new Error(String(error)), isSent: false }))
    }
    return Effect.sync(() => {
      callOff()
      giveUp("interrupted")
    })
  })

/**
 * Sends one request and waits until its answer begins. Closing the scope closes the connection at once, unless the answer has
 * been read to its end. `onSent` is called as by {@link exchange}.
 */
export const open = Effect.fnUntraced(function*(
  dispatcher: Dispatcher,
  options: Dispatcher.DispatchOptions,
  onSent: () => void
): Effect.fn.Return<Opened, Broken, Scope.Scope> {
  const chunks = yield* Queue.make<Buffer, Broken | Cause.Done>()
  let controller: Dispatcher.DispatchController | undefined
  let isClosed = false
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      isClosed = true
      controller?.abort(new Error("closed"))
    })
  )
  const head = yield* Effect.callback<Head, Broken>((resume) => {
    dispatcher.dispatch(options, {
      onRequestStart(started) {
        if (isClosed) {
          started.abort(new Error("closed"))
          return
        }
        controller = started
        onSent()
      },
      onResponseStart(_, status, headers) {
        // 1xx only announces the answer, as a proxy's Early Hints do.
        if (status >= 200) resume(Effect.succeed({ status, headers }))
      },
      onResponseData(running, chunk) {
        // undici gives an empty piece whenever it is resumed.
        if (chunk.length === 0) return
        running.pause()
        Queue.offerUnsafe(chunks, chunk)
      },
      onResponseEnd() {
        // As in `exchange`: only then can the next request have this connection.
        queueMicrotask(() => setImmediate(() => Queue.endUnsafe(chunks)))
      },
      onResponseError(_, error) {
        const broken = { error, isSent: controller !== undefined }
        resume(Effect.fail(broken))
        Queue.failCauseUnsafe(chunks, Cause.fail(broken))
      }
    })
  })
  const pull = Effect.suspend(() => {
    controller?.resume()
    return Queue.takeAll(chunks)
  })
  return { ...head, body: Stream.fromPull(Effect.succeed(pull)) }
})

/** The whole of a body, as text. */
export const readText = Effect.fnUntraced(function*(body: Opened["body"]) {
  const whole = gather()
  yield* Stream.runForEach(body, (chunk) => {
    if (whole.length() + chunk.length > maxBodyBytes) return failTooLong
    whole.add(chunk)
    return Effect.void
  })
  return whole.text()
})

/** The lines of a body, without their ends. What follows the last newline was cut off, and is left out. */
export const linesOf = (body: Opened["body"]): Stream.Stream<string, Broken> =>
  Stream.mapAccumEffect(body, gather, (line, chunk) => {
    const lines: Array<string> = []
    let start = 0
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, start)) {
      line.add(chunk.subarray(start, end))
      lines.push(line.text())
      line = gather()
      start = end + 1
    }
    const rest = chunk.subarray(start)
    if (line.length() + rest.length > maxBodyBytes) return failTooLong
    line.add(rest)
    return Effect.succeed([line, lines] as const)
  })

/**
 * Text that comes in pieces. They are copied together at once: each piece takes a hundred bytes and more besides what it holds, and
 * a server can send a byte at a time.
 */
const gather = () => {
  let bytes = Buffer.alloc(0)
  let length = 0
  return {
    length: () => length,
    add: (piece: Buffer) => {
      const needed = length + piece.length
      if (needed > bytes.length) {
        const larger = Buffer.allocUnsafe(2 * needed)
        bytes.copy(larger, 0, 0, length)
        bytes = larger
      }
      piece.copy(bytes, length)
      length = needed
    },
    text: () => bytes.toString("utf8", 0, length)
  }
}

const newline = 0x0a

const tooLong = () => Object.assign(new Error(), { code: answerTooLong })

const failTooLong = Effect.suspend(() => Effect.fail<Broken>({ error: tooLong(), isSent: true }))
