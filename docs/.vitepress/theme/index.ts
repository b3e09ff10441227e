import type { Theme } from "vitepress"
import DefaultTheme from "vitepress/theme"
import Contents from "./Contents.vue"
import Start from "./Start.vue"
import "./style.css"

export default {
  extends: DefaultTheme,
  enhanceApp: ({ app }) => {
    app.component("Contents", Contents)
    app.component("Start", Start)
  }
} satisfies Theme
