/** Writes the plots of docs/performance from what `npm run bench -- growth --write` has found. */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Console, Effect, FileSystem, Path, Schema } from "effect"
import * as Results from "../Results.ts"
import { type Plot, toSvg } from "./Plot.ts"

const Points = Schema.Array(Schema.Struct({
  x: Schema.Finite,
  acquisitionsPerSecond: Schema.Finite,
  handoverMillis: Schema.NullOr(Schema.Finite),
  requestsPerSecond: Schema.Finite,
  eventsPerSecond: Schema.Finite
}))
const Lines = Schema.Array(Schema.Struct({ name: Schema.String, points: Points }))

const decodeGrowth = Schema.decodeUnknownEffect(
  Schema.Struct({ own: Lines, contended: Points, crowds: Lines, held: Points })
)

type Growth = Effect.Success<ReturnType<typeof decodeGrowth>>
type Point = (typeof Points.Type)[number]

const by = (points: ReadonlyArray<Point>, y: (point: Point) => number) =>
  points.map((point) => ({ x: point.x, y: y(point) }))

const plotsOf = ({ contended, crowds, held, own }: Growth): Readonly<Record<string, Plot>> => ({
  layout: {
    title: "Every process has a lock of its own",
    description: "Acquisitions per second over the number of processes, by how many objects carry the locks",
    xTitle: "processes, each taking its lock for 100 ms every 1.1 s",
    yTitle: "acquisitions/s",
    lines: own.map(({ name, points }) => ({
      name,
      points: by(points, ({ acquisitionsPerSecond }) => acquisitionsPerSecond)
    }))
  },
  contended: {
    title: "Every process wants the same lock",
    description: "Acquisitions and watch events per second, and the time of a handover, over the number of processes",
    xTitle: "processes, each holding the lock for 10 ms",
    yTitle: "by the second, and in ms",
    lines: [
      { name: "watch events/s", points: by(contended, ({ eventsPerSecond }) => eventsPerSecond) },
      { name: "acquisitions/s", points: by(contended, ({ acquisitionsPerSecond }) => acquisitionsPerSecond) },
      { name: "handover, ms", points: by(contended, ({ handoverMillis }) => handoverMillis ?? 0) }
    ]
  },
  crowds: {
    title: "Sixteen locks, and a crowd at each",
    description: "Acquisitions per second over the number of processes at each lock, on one object and on sixteen",
    xTitle: "processes at each lock, holding it for 10 ms",
    yTitle: "acquisitions/s of all sixteen",
    lines: crowds.map(({ name, points }) => ({
      name,
      points: by(points, ({ acquisitionsPerSecond }) => acquisitionsPerSecond)
    }))
  },
  held: {
    title: "Locks that are held for long",
    description:
      "Renewals per second over the number of locks held, by a process each, and by one process on one object",
    xTitle: "locks held, with a TTL of 30 s",
    yTitle: "renewals/s",
    lines: [
      { name: "a process and an object each", points: by(held, ({ requestsPerSecond }) => requestsPerSecond) },
      {
        name: "one process, all on one object",
        isReference: true,
        points: by(held, () => 0.1).filter(({ x }) => x <= 1_000)
      }
    ]
  }
})

const write = Effect.gen(function*() {
  const files = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const folder = path.join(import.meta.dirname, "../../../../docs/performance")
  yield* files.makeDirectory(folder, { recursive: true })
  const { data } = yield* Results.read("growth")
  for (const [name, plot] of Object.entries(plotsOf(yield* decodeGrowth(data)))) {
    yield* files.writeFileString(path.join(folder, `${name}.svg`), toSvg(plot))
    yield* Console.log(`docs/performance/${name}.svg`)
  }
})

write.pipe(Effect.provide(NodeServices.layer), NodeRuntime.runMain)
