/** What is given by a program, which may have no types. */
import { InvalidConfig } from "@kubelock/core"
import { Result } from "effect"

/**
 * What is read of something that should be an object: once, before it is checked, so that nothing can change in between. `undefined`
 * and what throws when it is looked at are refused.
 */
export const read = <A, B>(field: string, given: A, look: (given: A) => B): Result.Result<B, InvalidConfig> =>
  Result.try({
    try: () => look(given),
    catch: () => InvalidConfig.of(field, given, "an object is needed whose properties can be read")
  })
