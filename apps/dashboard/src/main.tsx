import './styles.css';
import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { RouterProvider } from '@tanstack/react-router';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { ApiError } from './api/client.ts';
import { followLive } from './api/live.ts';
import { onSession, restore, useSession } from './api/session.ts';
import { Loading } from './parts/states.tsx';
import { applyTheme } from './parts/theme.ts';
import { createAppRouter } from './router.tsx';
import { languageReady, useLanguage } from './text/index.ts';

applyTheme();
const queries = new QueryClient({
  defaultOptions: {
    queries: {
      // What was refused is refused again.
      retry: (failures, error) =>
        !(error instanceof ApiError && error.status >= 400 && error.status < 500) && failures < 3,
      staleTime: 5_000,
    },
  },
});
const router = createAppRouter(queries);

function App() {
  const language = useLanguage();
  const { status } = useSession();
  if (status === 'unknown') {
    return (
      <div className="mx-auto max-w-md p-10">
        <Loading />
      </div>
    );
  }
  // In another language everything is drawn anew.
  return <RouterProvider key={language} router={router} />;
}

await languageReady;
createRoot(document.getElementById('root')!).render(
  <StrictMode>
    <QueryClientProvider client={queries}>
      <App />
    </QueryClientProvider>
  </StrictMode>,
);
void restore().then(() => {
  followLive(queries);
  // Who has left, or come, is where such a person may be.
  onSession(() => void router.invalidate());
});
