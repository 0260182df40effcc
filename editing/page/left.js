// A session that a page leaves for the one that is loaded next in its tab.

const PLACE = "steergan-left";

// False where there is no room for it.
export function leave(session) {
  try {
    sessionStorage.setItem(PLACE, JSON.stringify(session));
    return true;
  } catch {
    return false;
  }
}

// What was left, once; null where nothing was.
export function takenUp() {
  try {
    const session = JSON.parse(sessionStorage.getItem(PLACE));
    sessionStorage.removeItem(PLACE);
    return session;
  } catch {
    return null;
  }
}
