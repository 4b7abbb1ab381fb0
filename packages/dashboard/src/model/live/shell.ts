import { signal } from '@preact/signals';
import type { ComponentChildren } from 'preact';

const THEMES = ['system', 'light', 'dark'] as const;
export type Theme = (typeof THEMES)[number];

const THEME_KEY = 'rollcall-theme';

/** The frame around the screens: the theme, and open dialogs. */
export class Shell {
  readonly theme = signal<Theme>(themeOf(storedTheme()));
  readonly isHelpOpen = signal(false);
  /** The open dialog; null: none. */
  readonly dialog = signal<ComponentChildren>(null);
  /** The last action, shown and announced to screen readers; empty: none. */
  readonly notice = signal('');

  constructor() {
    this.theme.subscribe((theme) => {
      storeTheme(theme);
      if (theme === 'system') delete document.documentElement.dataset['theme'];
      else document.documentElement.dataset['theme'] = theme;
    });
  }

  /** Light, dark, and back to the setting of the system. */
  nextTheme(): void {
    const at = THEMES.indexOf(this.theme.value);
    this.theme.value = THEMES[(at + 1) % THEMES.length] ?? 'system';
  }

  notify(text: string): void {
    this.notice.value = text;
    window.setTimeout(() => {
      if (this.notice.value === text) this.notice.value = '';
    }, NOTICE_MS);
  }
}

const NOTICE_MS = 6_000;

/** A browser may keep nothing for us: then the theme lasts as long as the page. */
function storedTheme(): string | null {
  try {
    return localStorage.getItem(THEME_KEY);
  } catch {
    return null;
  }
}

function storeTheme(theme: Theme): void {
  try {
    localStorage.setItem(THEME_KEY, theme);
  } catch {
    // see above
  }
}

function themeOf(text: string | null): Theme {
  return THEMES.find((theme) => theme === text) ?? 'system';
}
