import { defineConfig } from "vitest/config"

const project = (name: string, include: Array<string>) => ({
  extends: true as const,
  test: { name, include }
})

export default defineConfig({
  test: {
    testTimeout: 60_000,
    hookTimeout: 60_000,
    projects: [
      project("core", ["packages/core/test/**/*.test.ts"]),
      project("kube", ["packages/kube/test/**/*.test.ts"]),
      project("testing", ["packages/testing/test/**/*.test.ts"]),
      project("checks", ["packages/checks/test/**/*.test.ts"])
    ]
  }
})
