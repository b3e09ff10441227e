/** What the client beside the contenders is told, and what it answers. */
import { Schema } from "effect"
import { Resource } from "../contenders/Message.ts"

/** Write to this object from now on; without one, to none. */
export const Order = Schema.Struct({ resource: Schema.optionalKey(Resource) })
export type Order = typeof Order.Type

/** How often it has written since it was told last, and for how long. */
export const Answer = Schema.Struct({ writes: Schema.Int, millis: Schema.Finite })
