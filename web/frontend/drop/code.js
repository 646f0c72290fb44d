// The page that asks for a code, and pages that say what went wrong: nobody's waiting files are forgotten there.
import { tellWaiting } from "./waiting.js";

tellWaiting().catch(() => {});
