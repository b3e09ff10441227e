/** Sends the PATCH that takes a lock, and does nothing else. Its argument: how to reach the server and what to send, as JSON. */
import { Client } from "undici"

const importedMillis = performance.now()
const { body, headers, origin, path, tls } = JSON.parse(process.argv[2] ?? "")
const client = new Client(origin, { connect: tls })
const builtMillis = performance.now()
const answer = await client.request({ method: "PATCH", path, headers, body })
JSON.parse(await answer.body.text())
if (answer.statusCode !== 200) throw new Error(`HTTP ${answer.statusCode}`)
const { system, user } = process.cpuUsage()
const told = { importedMillis, builtMillis, takenMillis: performance.now(), cpuMillis: (user + system) / 1_000 }
process.stdout.write(JSON.stringify(told))
await client.close()
