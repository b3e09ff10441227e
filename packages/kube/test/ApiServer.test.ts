import { KubeApiServer } from "@kubelock/testing"
import { Layer } from "effect"
import { apiServerWorld, storeOfServer } from "./suites/apiServerWorld.ts"
import { kubeLockSuite } from "./suites/kubeLockSuite.ts"
import { storeSuite } from "./suites/storeSuite.ts"

const services = Layer.merge(apiServerWorld, storeOfServer)

storeSuite("over HTTP", Layer.provide(services, KubeApiServer.layer()))
kubeLockSuite("over HTTP", Layer.provide(services, KubeApiServer.layer()))
kubeLockSuite("over TLS with a token", Layer.provide(services, KubeApiServer.layer({ tls: true, token: "secret" })))
