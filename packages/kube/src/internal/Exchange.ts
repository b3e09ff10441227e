import { Array, Cause, Effect, type Pull, type Scope } from "effect"
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
  readonly body: Pull.Pull<Array.NonEmptyReadonlyArray<Buffer>, Broken | Silent>
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

/** Somebody has read for too long, and nothing has come. */
export const silent = "silent"

/** See {@link silent}. */
export type Silent = typeof silent

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
      // The next request mostly begins while this returns, and finds the keeper of the time limits awake for this one still.
      resume(outcome)
      callOff()
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

    dispatch(dispatcher, options, {
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
        const broken = { error, isSent: controller !== undefined }
        // Not from within undici, which is at the answer still where that was too long: whoever goes on may read another one.
        queueMicrotask(() => end(Effect.fail(broken)))
      }
    }, (broken) => end(Effect.fail(broken)))
    return Effect.sync(() => {
      callOff()
      giveUp("interrupted")
    })
  })

/** What undici's agent for proxies does not take, it throws. */
const dispatch = (
  dispatcher: Dispatcher,
  options: Dispatcher.DispatchOptions,
  handler: Dispatcher.DispatchHandler,
  onThrown: (broken: Broken) => void
) => {
  try {
    dispatcher.dispatch(options, handler)
  } catch (error) {
    onThrown({ error: error instanceof Error ? error : new Error(String(error)), isSent: false })
  }
}

/** Watches over an answer that has begun: calls back once nothing was heard for too long, and again if it is still so. */
export type Listening = (onSilent: () => void) => { readonly heard: () => void; readonly end: () => void }

/**
 * Sends one request and waits until its answer begins. Closing the scope closes the connection at once, unless the answer has
 * been read to its end. `onSent` is called as by {@link exchange}.
 */
export const open = Effect.fnUntraced(function*(
  dispatcher: Dispatcher,
  options: Dispatcher.DispatchOptions,
  onSent: () => void,
  listening: Listening
): Effect.fn.Return<Opened, Broken, Scope.Scope> {
  type Outcome = Effect.Effect<Array.NonEmptyReadonlyArray<Buffer>, Broken | Silent | Cause.Done>
  let controller: Dispatcher.DispatchController | undefined
  let isClosed = false
  let unread: Array<Buffer> = []
  let end: Outcome | undefined
  let resumeReader: ((outcome: Outcome) => void) | undefined
  let listener: ReturnType<Listening> | undefined

  const next = (): Outcome | undefined => {
    if (!Array.isArrayNonEmpty(unread)) return end
    const pieces = unread
    unread = []
    return Effect.succeed(pieces)
  }
  // Not from within undici, which parses on when this returns.
  const wake = () =>
    queueMicrotask(() => {
      const outcome = resumeReader && next()
      if (outcome !== undefined) resumeReader?.(outcome)
    })
  const endWith = (outcome: Outcome) => {
    listener?.end()
    end ??= outcome
    wake()
  }

  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      isClosed = true
      listener?.end()
      controller?.abort(new Error("closed"))
    })
  )
  const head = yield* Effect.callback<Head, Broken>((resume) => {
    dispatch(dispatcher, options, {
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
        if (status < 200) return
        listener = listening(() => {
          // Who does not read hears nothing.
          if (resumeReader === undefined) return
          endWith(Effect.fail(silent))
          controller?.abort(new Error("silent"))
        })
        resume(Effect.succeed({ status, headers }))
      },
      onResponseData(running, chunk) {
        // undici gives an empty piece whenever it is resumed.
        if (chunk.length === 0) return
        unread.push(chunk)
        listener?.heard()
        if (resumeReader === undefined) running.pause()
        else wake()
      },
      onResponseEnd() {
        // As in `exchange`: only then can the next request have this connection.
        queueMicrotask(() => setImmediate(() => endWith(Cause.done())))
      },
      onResponseError(_, error) {
        const broken = { error, isSent: controller !== undefined }
        resume(Effect.fail(broken))
        endWith(Effect.fail(broken))
      }
    }, (broken) => resume(Effect.fail(broken)))
  })
  const body = Effect.suspend(() =>
    next() ?? Effect.callback<Array.NonEmptyReadonlyArray<Buffer>, Broken | Silent | Cause.Done>((resume) => {
      resumeReader = (outcome) => {
        resumeReader = undefined
        resume(outcome)
      }
      listener?.heard()
      if (controller?.paused === true) controller.resume()
      return Effect.sync(() => {
        resumeReader = undefined
      })
    })
  )
  return { ...head, body }
})

/** The whole of a body, as text. */
export const readText = (body: Opened["body"]): Effect.Effect<string, Broken | Silent> => {
  const whole = gather()
  const read: Effect.Effect<string, Broken | Silent> = Effect.matchEffect(body, {
    onSuccess: (pieces) => {
      for (const piece of pieces) {
        if (whole.length() + piece.length > maxBodyBytes) return failTooLong
        whole.add(piece)
      }
      return read
    },
    onFailure: (error) => Cause.isDone(error) ? Effect.succeed(whole.text()) : Effect.fail(error)
  })
  return read
}

/** The lines of a body, without their ends. What follows the last newline was cut off, and is left out. */
export const linesOf = (body: Opened["body"]): Pull.Pull<Array.NonEmptyReadonlyArray<string>, Broken | Silent> => {
  let line = gather()
  const pull: Pull.Pull<Array.NonEmptyReadonlyArray<string>, Broken | Silent> = Effect.flatMap(body, (pieces) => {
    const lines: Array<string> = []
    for (const piece of pieces) {
      let start = 0
      for (let end = piece.indexOf(newline); end >= 0; end = piece.indexOf(newline, start)) {
        line.add(piece.subarray(start, end))
        lines.push(line.text())
        line = gather()
        start = end + 1
      }
      const rest = piece.subarray(start)
      if (line.length() + rest.length > maxBodyBytes) return failTooLong
      line.add(rest)
    }
    return Array.isArrayNonEmpty(lines) ? Effect.succeed(lines) : pull
  })
  return pull
}

/**
 * Text that comes in pieces. They are copied together at once: each piece takes a hundred bytes and more besides what it holds, and
 * a server can send a byte at a time.
 */
const gather = () => {
  let bytes: Buffer = nothing
  let length = 0
  return {
    length: () => length,
    add: (piece: Buffer) => {
      const needed = length + piece.length
      // Most come in a single piece. An empty one would keep alive what it is part of.
      if (length === 0) bytes = piece.length === 0 ? nothing : piece
      else {
        if (needed > bytes.length) {
          const larger = Buffer.allocUnsafe(2 * needed)
          bytes.copy(larger, 0, 0, length)
          bytes = larger
        }
        piece.copy(bytes, length)
      }
      length = needed
    },
    text: () => bytes.toString("utf8", 0, length)
  }
}

const nothing = Buffer.alloc(0)

const newline = 0x0a

const tooLong = () => Object.assign(new Error(), { code: answerTooLong })

const failTooLong = Effect.suspend(() => Effect.fail<Broken>({ error: tooLong(), isSent: true }))
