/** Imports what its arguments name, one after the other, and tells what each has cost. The first line is of Node itself. */
const taken = () => {
  const { system, user } = process.cpuUsage()
  return { wallMillis: performance.now(), cpuMillis: (user + system) / 1_000 }
}

const kept = () => {
  globalThis.gc?.()
  const { heapUsed, rss } = process.memoryUsage()
  return { heapBytes: heapUsed, rssBytes: rss }
}

type Cost = ReturnType<typeof taken> & ReturnType<typeof kept>

const less = (after: Cost, before: Cost): Cost => ({
  wallMillis: after.wallMillis - before.wallMillis,
  cpuMillis: after.cpuMillis - before.cpuMillis,
  heapBytes: after.heapBytes - before.heapBytes,
  rssBytes: after.rssBytes - before.rssBytes
})

const costs: Array<Cost> = [{ ...taken(), ...kept() }]
for (const specifier of process.argv.slice(2)) {
  // What has been given up is counted to nobody.
  const memory = kept()
  const before = { ...taken(), ...memory }
  await import(specifier)
  const after = taken()
  costs.push(less({ ...after, ...kept() }, before))
}
process.stdout.write(JSON.stringify(costs))
