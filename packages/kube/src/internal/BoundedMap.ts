/** What is worth remembering as long as there is not too much of it. */

/** A map that forgets its oldest entry rather than grow without end. */
export const make = <A>(maxSize: number) => {
  const entries = new Map<string, A>()
  return {
    get: (key: string) => entries.get(key),
    values: () => entries.values(),
    set: (key: string, value: A) => {
      entries.delete(key)
      entries.set(key, value)
      if (entries.size <= maxSize) return
      for (const oldest of entries.keys()) {
        entries.delete(oldest)
        break
      }
    }
  }
}
