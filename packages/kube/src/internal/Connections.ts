import { Effect, type Scope } from "effect"
import type * as Undici from "undici"
import type { Credentials, Tls } from "./Credentials.ts"

const settings = {
  // A server that was idle between two renewals shall not cost a new TLS handshake.
  keepAliveTimeout: 60_000,
  // One request, one connection: giving a request up closes its connection, and disturbs no other.
  allowH2: false,
  // Effect's clock limits a request as a whole.
  headersTimeout: 0,
  bodyTimeout: 0
}

/** Shorter than what load balancers allow to be idle. */
const tcpKeepAlive = { keepAlive: true, keepAliveInitialDelay: 30_000 }

/** The connections for these credentials: shared for as long as certificates and proxy stay the same. */
export type Connections = (credentials: Credentials) => Undici.Dispatcher

/** Connections that end with the scope, requests and all. At most so many to a server at once; `null`: as many as it takes. */
export const make = Effect.fnUntraced(function*(
  undici: typeof Undici,
  atMost: number | null
): Effect.fn.Return<Connections, never, Scope.Scope> {
  let current: Opened | undefined
  /** Replaced, but with requests that have not ended. */
  const closing = new Set<Undici.Dispatcher>()

  const close = (dispatcher: Undici.Dispatcher) => {
    const closed = () => void closing.delete(dispatcher)
    closing.add(dispatcher)
    dispatcher.close().then(closed, closed)
  }

  yield* Effect.addFinalizer(() =>
    Effect.promise(() => {
      const dispatchers = [...closing, ...current === undefined ? [] : [current.dispatcher]]
      return Promise.allSettled(dispatchers.map((dispatcher) => dispatcher.destroy()))
    })
  )

  return ({ config: { origin, proxyUrl }, tls }) => {
    const previous = current
    if (previous !== undefined && previous.proxyUrl === proxyUrl && isSameTls(previous.tls, tls)) {
      return previous.dispatcher
    }
    const dispatcher = open(undici, atMost, origin, proxyUrl, tls)
    current = { proxyUrl, tls, dispatcher }
    if (previous !== undefined) close(previous.dispatcher)
    return dispatcher
  }
})

interface Opened {
  readonly proxyUrl: string | undefined
  readonly tls: Tls | undefined
  readonly dispatcher: Undici.Dispatcher
}

const open = (
  undici: typeof Undici,
  connections: number | null,
  origin: string,
  proxyUrl: string | undefined,
  tls: Tls | undefined
): Undici.Dispatcher => {
  const factory = clientsOf(undici)
  return proxyUrl === undefined
    ? new undici.Pool(origin, { ...settings, connections, factory, connect: { ...tcpKeepAlive, ...given(tls) } })
    : new undici.ProxyAgent({
      ...settings,
      connections,
      uri: proxyUrl,
      factory: (origin, options) => new undici.Pool(origin, { ...options, factory }),
      requestTls: { allowH2: false, ...given(tls) }
    })
}

/**
 * undici's pool takes a client for busy that did not take a request, and waits for it to be free. One that found a request to be none,
 * as with a token that no header may hold, is free already and never says so: after a few of those no request would be sent any more.
 */
const clientsOf = ({ Client }: typeof Undici) => {
  class FreeAfterRefusal extends Client {
    override dispatch(options: Undici.Dispatcher.DispatchOptions, handler: Undici.Dispatcher.DispatchHandler): boolean {
      return super.dispatch(options, handler) || this.stats.size === 0
    }
  }
  return (origin: URL, options: object): Undici.Dispatcher => new FreeAfterRefusal(origin, options)
}

/** Without what is `undefined`, as undici's types want it. */
const given = (tls: Tls | undefined) =>
  Object.fromEntries(Object.entries(tls ?? {}).filter(([, value]) => value !== undefined))

const isSameTls = (left: Tls | undefined, right: Tls | undefined): boolean =>
  left === right || left !== undefined && right !== undefined &&
    isSame(left.ca, right.ca) && isSame(left.cert, right.cert) && isSame(left.key, right.key) &&
    left.servername === right.servername && left.rejectUnauthorized === right.rejectUnauthorized

const isSame = (left: unknown, right: unknown): boolean =>
  left === right || Buffer.isBuffer(left) && Buffer.isBuffer(right) && left.equals(right)
